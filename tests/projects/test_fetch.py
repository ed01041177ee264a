"""Data sets are fetched from where they are published: one folder of an archive, whole or not at all."""

import io
import zipfile

import pytest

from hrnet_plugins.weights.download import DownloadError
from projects.fetch import fetch
from tests.helpers.servers import mirror


def address(server, fault):
    return f'http://127.0.0.1:{server.server_port}/{fault}/master.zip'


def archive(names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as file:
        for name in names:
            file.writestr(name, name)
    return out.getvalue()


WHOLE = ('Data-master/README.md', 'Data-master/CamVid/train/a.png', 'Data-master/CamVid/train.txt')


def test_one_folder_of_the_archive_is_put_in_place(tmp_path):
    folder = tmp_path / 'data' / 'streets'
    with mirror(archive(WHOLE)) as server:
        assert fetch(address(server, 'good'), 'CamVid', folder) == folder
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()) == [
            'train.txt',
            'train/a.png',
        ]
        assert [path.name for path in folder.parent.iterdir()] == ['streets'], 'nothing is left beside it'
        asked = len(server.asked)
        fetch(address(server, 'good'), 'CamVid', folder)
        assert len(server.asked) == asked, 'what is there is not fetched again'


@pytest.mark.parametrize(
    ('fault', 'names', 'error', 'message'),
    [
        ('404', WHOLE, DownloadError, 'HTTP 404'),
        ('cut', WHOLE, DownloadError, 'the transfer stopped'),
        ('page', WHOLE, zipfile.BadZipFile, 'not a zip file'),
        ('good', WHOLE[:1], ValueError, 'has no folder CamVid'),
        ('good', ('Data-master/CamVid/../../../x',), ValueError, 'names a file outside of itself'),
    ],
)
def test_what_goes_wrong_leaves_nothing(fault, names, error, message, tmp_path):
    folder = tmp_path / 'data' / 'streets'
    body = archive(names) if fault != 'cut' else b'x' * 5000
    with mirror(body) as server, pytest.raises(error, match=message):
        fetch(address(server, fault), 'CamVid', folder)
    assert not list(folder.parent.iterdir()) and not (tmp_path / 'x').exists()
