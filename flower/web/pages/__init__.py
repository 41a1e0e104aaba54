"""The pages that people look at. Each asks the store, has what it found made fit to be shown, and fills a template with it."""
