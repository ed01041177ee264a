"""The help of the command line: whole sentences, groups, examples that parse, and completion."""

import importlib
import re
import shlex

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from hrnet_plugins import cli
from hrnet_plugins.command_help import GROUPS, GroupedCommands, example, first_sentence
from hrnet_plugins.recipes import recipes
from tests.helpers.command_lines import parse


def commands(group=cli.main, path=()):
    """Every command and group below a group, by what is typed for it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def shown(path, width=80):
    done = CliRunner().invoke(cli.main, [*path, '--help'], terminal_width=width)
    assert done.exit_code == 0, done.output
    return done.output


def plain(text):
    return ' '.join(text.split())


@pytest.mark.parametrize('path', COMMANDS, ids=' '.join)
def test_all_that_is_said_of_a_command_is_whole_sentences(path):
    command = COMMANDS[path]
    text = command.help.replace('\b', '')
    for paragraph in re.split(r'\n\s*\n', text.strip()):
        assert plain(paragraph)[-1] in '.:', paragraph
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f'{option.name} says nothing'
            assert option.help.endswith('.'), f'{option.name}: {option.help}'
            assert plain(option.help) in plain(shown(path))
    assert '...' not in re.sub(r'Usage:.*?\n\n', '', shown(path), count=1, flags=re.DOTALL)


@pytest.mark.parametrize('title', GROUPS)
def test_a_group_of_the_help_is_one_file(title):
    commands_there = importlib.import_module(f'hrnet_plugins.cli.{title.lower()}').COMMANDS
    assert [command.name for command in commands_there] == list(GROUPS[title])


@pytest.mark.parametrize('width', [60, 80, 120])
def test_the_list_of_commands_has_their_whole_sentences(width):
    for path, command in COMMANDS.items():
        above = plain(shown(path[:-1], width))
        sentence = first_sentence(command)
        assert sentence.endswith('.')
        assert sentence in above, path


@pytest.mark.parametrize('path', [(), *COMMANDS], ids=lambda path: ' '.join(path) or 'hrnet-plugins')
def test_each_help_has_an_example_that_parses(path):
    command = COMMANDS.get(path, cli.main)
    lines = re.findall(r'^ +(hrnet-plugins .*)$', command.epilog or '', re.MULTILINE)
    assert lines, 'pass epilog=example(...)'
    for line in lines:
        assert f'\n    {line}\n' in shown(path), 'not wrapped'
        words = shlex.split(line)[1:]
        assert tuple(words[: len(path)]) == path
        parse(cli.main, words)


def test_an_example_that_does_not_parse_is_found():
    with pytest.raises(click.UsageError):
        parse(cli.main, ['list', '--no-such-option'])
    with pytest.raises(click.UsageError):
        parse(cli.main, ['mmcv-ops', 'instal'])


def test_commands_are_in_groups():
    text = shown(())
    titles = [title for title in GROUPS if any(name in cli.main.commands for name in GROUPS[title])]
    found = re.findall(r'^(\w+):$', text, re.MULTILINE)
    assert [title for title in found if title in GROUPS] == titles
    for title, names in GROUPS.items():
        section = re.search(rf'^{title}:\n((?:  .*\n|\n(?=  ))*)', text, re.MULTILINE)
        for name in names:
            assert name not in cli.main.commands or re.search(rf'^  {name} ', section[1], re.MULTILINE)
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))


def test_a_command_of_no_group_is_shown_all_the_same():
    group = GroupedCommands('x', help='X.')
    group.add_command(click.Command('new', help='Make one. And more.'))
    group.add_command(click.Command('other', help='Do another thing that takes so many words that click would cut it.'))
    group.add_command(click.Command('secret', help='Hide.', hidden=True))
    text = CliRunner().invoke(group, ['--help']).output
    assert 'Data:\n  new  Make one.\n' in text
    assert plain('other Do another thing that takes so many words that click would cut it.') in plain(text)
    assert 'Other:' in text
    assert 'secret' not in text


def test_examples_are_kept_as_they_are():
    assert example('a') == '\b\nExample:\n  a'
    assert example('a', 'b') == '\b\nExamples:\n  a\n  b'


@pytest.mark.parametrize(
    ('words', 'incomplete', 'found'),
    [
        ([], 'we', ['weights']),
        (['train'], 'fcos_r101', [name for name in recipes() if name.startswith('fcos_r101')]),
        (['path'], 'configs/', ['configs/']),
        (['test', 'x'], 'hrnet://w48', ['hrnet://w48', 'hrnet://w48_cutmix', 'hrnet://w48_ssld']),
        (['export', 'x'], '', ['']),
        (['weights'], '--pro', ['--probe']),
    ],
)
def test_shells_complete_commands_options_and_names(words, incomplete, found):
    shell = ShellComplete(cli.main, {}, 'hrnet-plugins', '_HRNET_PLUGINS_COMPLETE')
    assert [item.value for item in shell.get_completions(words, incomplete)] == found


def test_the_line_for_the_shell_works(monkeypatch):
    done = CliRunner().invoke(cli.main, [], prog_name='hrnet-plugins', env={'_HRNET_PLUGINS_COMPLETE': 'zsh_source'})
    assert '_HRNET_PLUGINS_COMPLETE=zsh_complete' in done.output
    line = 'eval "$(_HRNET_PLUGINS_COMPLETE=bash_source hrnet-plugins)"'
    assert f'\n    {line}\n' in shown(()), 'alone, as it is copied'
