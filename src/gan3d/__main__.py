"""`python -m gan3d` is the command `gan3d`."""

from gan3d.cli import main

if __name__ == "__main__":
    main()
