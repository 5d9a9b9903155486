"""`python -m firstmate` is `firstmate`."""

from firstmate.cli import main

if __name__ == "__main__":
    main()
