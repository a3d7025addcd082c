"""`python -m gan3d` is the command `gan3d`."""

from gan3d.cli.app import main

if __name__ == "__main__":
    main()
