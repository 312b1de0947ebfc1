from pathlib import Path

import numpy as np
import pytest

from hfaudio.data import PreparedAudio
from hfaudio.training import (
    AudioTrainingArguments,
    AugmentationArguments,
    CheckpointError,
    DataArguments,
    FeatureArguments,
    ModelArguments,
    RunArguments,
)
from hfaudio.training.held_out_recordings import held_out_recordings, pooled_waveforms


@pytest.fixture
def run(synthetic_folder, tmp_path: Path) -> RunArguments:
    FeatureArguments(sampling_rate=8_000).build_extractor().save_pretrained(tmp_path)
    return RunArguments(
        DataArguments(dataset=[str(synthetic_folder)], fold_column="fold", eval_folds=["3"], preparation_processes=1),
        FeatureArguments(),
        ModelArguments(),
        AugmentationArguments(),
        AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True),
    )


def test_a_finished_fold_is_opened_at_its_rate(run, audio, tmp_path: Path) -> None:
    fold = audio.dataset.filter(lambda fold: fold == "3", input_columns="fold")
    opened = held_out_recordings(run, tmp_path, fold["file_name"][:])
    assert opened.sampling_rate == 8_000
    assert opened.dataset["file_name"][:] == fold["file_name"][:]
    lengths = [[len(waveform) for waveform in one["waveform"]] for one in (opened.dataset, fold)]
    assert np.array(lengths[0]) == pytest.approx(np.array(lengths[1]) / 2, abs=1)


def test_other_recordings_than_were_evaluated_are_refused(run, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="was evaluated on, found others: the data set has changed since; start"):
        held_out_recordings(run, tmp_path, ["gone.wav"])


def test_waveforms_are_lined_up_in_the_order_of_the_folds(audio) -> None:
    folds = [PreparedAudio(audio.dataset.select(rows), (), 16_000) for rows in ([3, 1], [7], [0, 2])]
    waveforms, rate = pooled_waveforms(folds)
    assert rate == 16_000
    assert len(waveforms) == 5
    everything = audio.dataset.with_format("numpy")["waveform"]
    for index, row in enumerate((3, 1, 7, 0, 2)):
        np.testing.assert_array_equal(waveforms[index], everything[row])
    assert pooled_waveforms([*folds, None]) == (None, None)
