from orthospike.run_file import _settings


def test_texts_in_quotes_read_as_the_program_reads_them():
    # The line of tests/learning/config_test.cpp.
    assert _settings('[experiment]\nname = "a \\\\ \\"b\\" #3"\n') == {"experiment.name": 'a \\ "b" #3'}
    assert _settings('[experiment]\nname = " a "\n[data]\npath = a "b"\n') == {
        "experiment.name": " a ",
        "data.path": 'a "b"',
    }
