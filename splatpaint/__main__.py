"""`python -m splatpaint` is the `splatpaint` command."""

from splatpaint.cli.app import main

if __name__ == "__main__":
    main()
