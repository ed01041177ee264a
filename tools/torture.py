"""Make files, trainings and data misbehave, and write how often the library held to ``docs/torture.md``.

    python -m tools.torture [--seed N] [--out docs/torture.md]

Each run has a new seed, which it prints. It takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import logging
import random
import secrets
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image

from hrnet_plugins import __version__
from hrnet_plugins.inference import accelerate
from hrnet_plugins.models import HRNet
from hrnet_plugins.training.coco_check import check_coco
from hrnet_plugins.training.config_check import check_config
from hrnet_plugins.training.latest import newest_whole
from hrnet_plugins.weights import convert, load_state_dict
from hrnet_plugins.weights.plain_config import NotPlainError, plain_config
from tests.helpers import frameworks, hostile, mistakes, mutated, toy_training
from tests.helpers.networks import TINY, fill

Outcomes = Iterator[tuple[str, bool]]
"""What was tried, and whether it held."""

KILLS = 50
KILLS_INSIDE = 20


def hostile_files(rng: random.Random, folder: Path) -> Outcomes:
    """Payloads in files: refused by both readers, and nothing has run."""
    trace = folder / 'ran'
    for path in hostile.files(folder, trace):
        held = True
        for read in (load_state_dict, lambda path: CheckpointLoader.load_checkpoint(str(path))):
            with contextlib.suppress(ValueError):
                held &= read(path) == {} and path.stem == 'two-pickles'  # PyTorch reads the first alone
        yield path.name, held and not trace.exists()


def hostile_texts(rng: random.Random, folder: Path) -> Outcomes:
    """Texts of configs that hold code: taken for data, and refused."""
    for name, text in hostile.texts(folder / 'ran').items():
        try:
            plain_config(text)
        except NotPlainError:
            yield name, True
        else:
            yield name, False


def mutated_files(rng: random.Random, folder: Path) -> Outcomes:
    """State dicts with one thing wrong: one error, no traceback of another kind."""
    models = (
        frameworks.two_stage('cascade-mask', TINY, num_classes=3),
        frameworks.fcos(TINY, num_classes=3, channels=32),
        frameworks.classifier(TINY, mid_channels=(8, 16, 24, 40), out_channels=24, num_classes=5),
        HRNet(TINY),
    )
    for model in models:
        good = fill(model).state_dict()
        for name, mutate in mutated.MUTATIONS.items():
            if name == 'wrong rows' and isinstance(model, HRNet):
                continue
            for _ in range(3):
                state = dict(good)
                key = mutate(state, rng)
                torch.save(state, folder / 'x.pth')
                try:
                    convert(load_state_dict(folder / 'x.pth'))
                except ValueError as error:
                    yield f'{name} in {key}', type(error) is ValueError
                except Exception:  # any other is a traceback to a user
                    yield f'{name} in {key}', False
                else:
                    yield f'{name} in {key}', False


def bit_flips(rng: random.Random, folder: Path) -> Outcomes:
    """One flipped bit of a ``.pth``: refused, or without any effect on the tensors."""
    path = folder / 'x.pth'
    good = fill(HRNet(TINY)).state_dict()
    torch.save(good, path)
    content = path.read_bytes()
    for _ in range(120):
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            read = load_state_dict(path)
        except ValueError:
            yield f'bit {bit} of byte {place}', True
        else:
            yield f'bit {bit} of byte {place}', all(torch.equal(read[key], value) for key, value in good.items())


def greedy_files(rng: random.Random, folder: Path) -> Outcomes:
    """Small files that ask for much: refused within 20 seconds of processor time."""
    for name, path in mutated.greedy_files(folder).items():
        start = time.process_time()
        try:
            convert(load_state_dict(path))
        except ValueError:
            yield name, time.process_time() - start < 20
        else:
            yield name, False


def _kills(rng: random.Random, folder: Path, count: int, *, inside_save: bool) -> Outcomes:
    done = 0
    for i in range(count):
        delay = rng.uniform(0, 0.05 if inside_save else 1.0)
        toy_training.killed(folder, delay, inside_save=inside_save, epochs=1000)
        try:
            found = newest_whole(folder, folder, 'epoch_{}.pth')
            step = 0 if found is None else int(found[0].stem.rpartition('_')[2])
        except ValueError:
            step = -1
        yield f'kill {i}', step >= done
        done = max(done, step)


def kills(rng: random.Random, folder: Path) -> Outcomes:
    """Trainings killed at random moments: the newest checkpoint reads whole, and none is lost."""
    yield from _kills(rng, folder, KILLS, inside_save=False)


def kills_inside_saves(rng: random.Random, folder: Path) -> Outcomes:
    """The same inside of a save."""
    yield from _kills(rng, folder, KILLS_INSIDE, inside_save=True)


def wrong_data(rng: random.Random, folder: Path) -> Outcomes:
    """Mistakes in data and configs: said as an error or a warning, with the file."""
    for name in 'ab':
        Image.new('RGB', (80, 60)).save(folder / f'{name}.png')
    for name, (change, severity, said) in mistakes.COCO_MISTAKES.items():
        content = mistakes.coco()
        mistakes.write(folder, change(content) or content)
        found = check_coco(folder / 'train.json', classes=('cat', 'dog'), pictures=folder)
        yield name, any(said in finding.text and finding.severity == severity for finding in found)
    mistakes.write(folder, mistakes.coco())
    for name, (change, severity, said) in mistakes.CONFIG_MISTAKES.items():
        config = copy.deepcopy(mistakes.config(folder))
        change(config)
        yield name, any(said in f.text and f.severity == severity for f in check_config(config))


def threads(rng: random.Random, folder: Path) -> Outcomes:
    """Forwards of an accelerated model in four threads: the outputs of one thread."""
    model = fill(HRNet(TINY)).eval()
    fast = accelerate(model)
    images = [torch.randn(1, 3, rng.choice((32, 64, 96)), 64) for _ in range(20)]
    with torch.no_grad():
        expected = [fast(image)[0] for image in images]
        results: list[bool] = []

        def work() -> None:
            with torch.no_grad():
                results.extend(torch.allclose(fast(i)[0], e, atol=1e-5) for i, e in zip(images, expected))

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    yield from (('forward', held) for held in results)


TRIALS: tuple[Callable[[random.Random, Path], Outcomes], ...] = (
    hostile_files,
    hostile_texts,
    mutated_files,
    bit_flips,
    greedy_files,
    kills,
    kills_inside_saves,
    wrong_data,
    threads,
)


def _until_error(outcomes: Outcomes) -> Outcomes:
    """Outcomes of a trial; one that breaks off has fallen there, and the others go on."""
    try:
        yield from outcomes
    except Exception as error:  # of whatever was tortured
        yield f'broke off: {type(error).__name__}: {error}', False


def main() -> None:
    """Run all trials, print what did not hold, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=secrets.randbelow(1 << 31))
    parser.add_argument('--out', type=Path, default=Path('docs/torture.md'))
    args = parser.parse_args()
    print(f'seed {args.seed}')
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows, fallen = [], []
    for trial in TRIALS:
        title = (trial.__doc__ or '').rstrip('.')
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            rng = random.Random(f'{args.seed} {trial.__name__}')  # noqa: S311, choices
            outcomes = list(_until_error(trial(rng, Path(folder))))
        held = sum(outcome for _, outcome in outcomes)
        print(f'{trial.__name__}: {held} of {len(outcomes)} held')
        rows.append(f'| {trial.__name__.replace("_", " ")} | {title} | {len(outcomes)} | {held} |')
        fallen += [f'{trial.__name__}: {what}' for what, outcome in outcomes if not outcome]
    args.out.write_text(
        '# Torture\n\nWhat was made to misbehave on purpose, and how often the library held. `make torture` renews '
        'this table, with a new seed each time.\n\n'
        '| trial | what is tried, and what must come of it | tried | held |\n| --- | --- | --- | --- |\n'
        + '\n'.join(rows)
        + f'\n\nSeed {args.seed}, hrnet_plugins {__version__}, PyTorch {torch.__version__}.\n'
    )
    print(*fallen, sep='\n')
    if fallen:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
