"""What every wrong use of a command looks like."""

from jobs.cli import run_command


def one_line_of(main, argv, capsys, folder):
    """The exit code and the one line on stderr; nothing goes to stdout, and nothing into the current folder."""
    code = run_command(main, list(argv))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []
    return code, err
