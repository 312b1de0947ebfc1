import pytest

from hfaudio.training import staged_folder


def test_files_appear_when_all_are_written(tmp_path) -> None:
    folder = tmp_path / "deep" / "run"
    with staged_folder(folder) as staging:
        (staging / "eval").mkdir()
        (staging / "eval" / "a.txt").write_text("a")
        assert [path.name for path in folder.iterdir()] == [staging.name]
    assert (folder / "eval" / "a.txt").read_text() == "a"
    assert [path.name for path in folder.iterdir()] == ["eval"]


def test_older_files_are_replaced_and_others_stay(tmp_path) -> None:
    (tmp_path / "run" / "eval").mkdir(parents=True)
    (tmp_path / "run" / "eval" / "old.txt").write_text("old")
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with staged_folder(tmp_path / "run") as staging:
        (staging / "eval").mkdir()
        (staging / "eval" / "old.txt").write_text("new")
    assert (tmp_path / "run" / "eval" / "old.txt").read_text() == "new"
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_graphs_of_former_weights_go_with_them(tmp_path) -> None:
    for name in ("model.onnx", "model_int8.onnx", "mine.onnx"):
        (tmp_path / name).touch()
    with staged_folder(tmp_path) as staging:
        (staging / "find_lr.png").touch()
    assert (tmp_path / "model.onnx").exists()
    with staged_folder(tmp_path) as staging:
        (staging / "model.safetensors").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"find_lr.png", "mine.onnx", "model.safetensors"}


def test_a_failure_leaves_everything_as_it_was(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.txt").write_text("old")

    def fail_half_way() -> None:
        with staged_folder(tmp_path / "run") as staging:
            (staging / "a.txt").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert (tmp_path / "run" / "a.txt").read_text() == "old"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.txt"]
