import subprocess
import sys

import pytest


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_imports_neither_torch_nor_transformers() -> None:
    run("import sys, hfaudio; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)")


@pytest.mark.parametrize(
    "imports",
    [
        "import hfaudio, transformers",
        "import transformers.models.auto.modeling_auto; import hfaudio",
        "import hfaudio; import transformers.modeling_utils",
        "import hfaudio.model.modeling_spectrogram_cnn",
        "from hfaudio import SpectrogramCNNModel",
    ],
)
def test_auto_classes_know_ours_whatever_was_imported_first(imports: str) -> None:
    code = f"""{imports}
from transformers import AutoConfig, AutoModel, AutoModelForAudioClassification
config = AutoConfig.for_model("spectrogram_cnn", hidden_sizes=[4], depths=[1])
print(type(AutoModelForAudioClassification.from_config(config)).__name__, type(AutoModel.from_config(config)).__name__)
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING
print(FEATURE_EXTRACTOR_MAPPING[type(config)].__name__)
"""
    assert run(code).split() == [
        "SpectrogramCNNForAudioClassification",
        "SpectrogramCNNModel",
        "SpectrogramCNNFeatureExtractor",
    ]


def test_public_names_are_all_there() -> None:
    import hfaudio

    assert set(hfaudio.__all__) <= set(dir(hfaudio))
    for name in hfaudio.__all__:
        assert getattr(hfaudio, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = hfaudio.nothing_like_it
