"""`python -m flower`."""

from flower.cli import main

if __name__ == "__main__":
    main()
