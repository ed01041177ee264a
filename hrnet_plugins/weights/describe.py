"""What is said of one weight: its row in full, and how its file gets to a machine without a network."""

from __future__ import annotations

from collections.abc import Iterator

from hrnet_plugins.weights.catalog import SCHEME, Source, Weight


def row_text(name: str, weight: Weight) -> str:
    """The row of a weight in full, with the command that tests it and the line that loads it."""
    model = f'cls_{name}' if weight.part == 'backbone' else name
    if weight.part == 'backbone':
        python = f'hp.create_backbone({weight.arch!r}, pretrained={name!r})'
        tested = f'hrnet-plugins test {model}, which tests the classifier that it is the backbone of'
    else:
        python = f'hp.create_model({name!r})'
        tested = f'hrnet-plugins test {model}'
    rows = {
        'name': f'{SCHEME}{name}',
        'loads into': _config(weight) if weight.part == 'model' else f'{weight.loads_into}, a backbone',
        'trained for': f'{weight.task} on {weight.dataset}',
        'backbone': weight.arch,
        'published score': weight.score,
        'licence': weight.licence,
        'published by': weight.origin,
        'note': weight.note,
        'test with': tested,
        'in Python': python,
    }
    lines = [f'{title:<16} {value}' for title, value in rows.items() if value]
    return '\n'.join([*lines, 'addresses, in the order to try:', *_addresses(weight)])


def manual(name: str, weight: Weight, *, folder_variable: str) -> str:
    """How to bring the file of a weight to a machine without a network.

    Args:
        name: The weight's name.
        weight: Its row.
        folder_variable: The environment variable that names the user's folder of weights.
    """
    own = dict.fromkeys(source.file for source in weight.sources)
    own_names = '\n'.join(f'     FOLDER/{file}' for file in own)
    kind = 'an HRNet' if weight.part == 'backbone' else weight.loads_into
    return '\n'.join(
        [
            f'{SCHEME}{name}, by hand:',
            '1. Fetch one of these files on a machine with a network:',
            *_addresses(weight),
            '2. Bring it here, into any folder, under its own name or under that of the weight:',
            own_names,
            f'     FOLDER/{name}.pth',
            f'3. Name the folder: export {folder_variable}=FOLDER',
            'How it is verified when it is read:',
            f'   - {_hashes(weight.sources, name)}',
            '   - No code in it is run. Each of its entries must be known, none may be missing, and all shapes must',
            f'     agree: an error lists what does not. It must be whole and fit {kind}.',
        ]
    )


def _config(weight: Weight) -> str:
    drop_in = ' with hrnet_plugins.dropin' if '::' in weight.recipe else ''
    options = ', '.join(f'{key}={value}' for key, value in weight.options.items())
    return f'{weight.recipe}{drop_in}{", " + options if options else ""}'


def _addresses(weight: Weight) -> Iterator[str]:
    for number, source in enumerate(weight.sources, start=1):
        yield f'  {number}) {address(source)}'
        known = [f'SHA-256 begins {source.sha256}'] if source.sha256 else []
        known += [f'{source.size} bytes'] if source.size else []
        known += [f'format {source.format}'] if source.format else []
        if known:
            yield f'     {", ".join(known)}'


def address(source: Source) -> str:
    """The address that a browser takes."""
    if source.url.startswith('hf://'):
        return f'https://huggingface.co/{source.url.removeprefix("hf://")}/resolve/main/model.safetensors'
    return source.url


def _hashes(sources: tuple[Source, ...], name: str) -> str:
    known = [source for source in sources if source.sha256]
    if not known:
        return 'No hash of it is published: its keys and shapes are all there is to check.'
    files = ' or '.join(f'{source.sha256} for {source.file}' for source in {s.file: s for s in known}.values())
    return f'Under its own name its SHA-256 must begin with {files}; as {name}.pth no hash is asked for.'
