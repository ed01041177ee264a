"""Fetch BCCD, photographs of blood cells, from where it is published (MIT licence).

python -m projects.cells.fetch        # into data/cells
"""

from pathlib import Path

from projects.fetch import main

URL = 'https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip'

if __name__ == '__main__':
    main(URL, 'BCCD', Path('data/cells/BCCD'))
