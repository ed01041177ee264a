"""``python -m hrnet_plugins.cli``, for where the command itself is not on the path."""

from hrnet_plugins.cli import main

if __name__ == '__main__':
    main()
