"""What every wrong use of a command looks like."""

from jobs.cli import run_command


def check_one_line(main, argv, code, says, capsys, folder):
    """The exit code, one line on stderr, nothing on stdout, and nothing written to the current folder."""
    assert run_command(main, list(argv)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err
    assert list(folder.iterdir()) == []
