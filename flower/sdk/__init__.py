"""What user code touches. Knows neither asyncpg nor aiohttp."""
