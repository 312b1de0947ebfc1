import numpy as np
import pytest

from hfaudio.training import DataArguments, training_data
from hfaudio.training.training_data import load_training_data


@pytest.mark.parametrize(("streaming", "most", "taken"), [(True, 7, 7), (True, 1000, 40), (False, 7, 40)])
def test_of_many_streamed_recordings_some_measure_the_normalization(
    synthetic_folder, monkeypatch, streaming: bool, most: int, taken: int
) -> None:
    monkeypatch.setattr(training_data, "STREAMED_FOR_NORMALIZATION", most)
    arguments = DataArguments(
        dataset=[str(synthetic_folder)], fold_column="fold", eval_folds=["2"], streaming=streaming,
        preparation_processes=1,
    )  # fmt: skip
    waveforms = list(load_training_data(arguments, 16_000, seed=0).training_waveforms())
    assert len(waveforms) == taken
    assert len({waveform.tobytes() for waveform in map(np.asarray, waveforms)}) == taken
