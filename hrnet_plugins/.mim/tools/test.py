"""Test a recipe with the test tool of the framework it is for; mim runs this as hrnet_plugins' own tool."""

from hrnet_plugins.launch import run_tool

if __name__ == '__main__':
    run_tool('test')
