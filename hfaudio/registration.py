"""Making `transformers` know the package's classes, without importing it before somebody else does."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["register_when_imported"]


# Each imports no more than its own class: transformers reaches configuration_auto in the middle of importing what a
# model needs.
def _register_config(auto: ModuleType) -> None:
    from hfaudio.model.configuration_spectrogram_cnn import SpectrogramCNNConfig

    auto.AutoConfig.register(SpectrogramCNNConfig.model_type, SpectrogramCNNConfig)


def _register_feature_extractor(auto: ModuleType) -> None:
    from hfaudio.model.configuration_spectrogram_cnn import SpectrogramCNNConfig
    from hfaudio.model.feature_extraction_spectrogram_cnn import SpectrogramCNNFeatureExtractor

    auto.AutoFeatureExtractor.register(SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor)


def _register_models(auto: ModuleType) -> None:
    from hfaudio.model.configuration_spectrogram_cnn import SpectrogramCNNConfig
    from hfaudio.model.modeling_spectrogram_cnn import SpectrogramCNNForAudioClassification, SpectrogramCNNModel

    auto.AutoModel.register(SpectrogramCNNConfig, SpectrogramCNNModel)
    auto.AutoModelForAudioClassification.register(SpectrogramCNNConfig, SpectrogramCNNForAudioClassification)
    # The stock pipeline looks for the class's name here, and warns if it is not among them.
    auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES[SpectrogramCNNConfig.model_type] = (
        SpectrogramCNNForAudioClassification.__name__
    )


_REGISTRATIONS = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.feature_extraction_auto": _register_feature_extractor,
    "transformers.models.auto.modeling_auto": _register_models,
}


class _RegisteringLoader(Loader):
    """Loads a module of Auto classes as usual, then registers ours with it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _REGISTRATIONS[module.__name__](module)


class _AutoModuleFinder(MetaPathFinder):
    """Finds the modules of Auto classes as Python would, but with our loader around theirs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _REGISTRATIONS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


def register_when_imported() -> None:
    """Registers our classes with the Auto classes, now where those are imported already, else as soon as they are."""
    sys.meta_path.insert(0, _AutoModuleFinder())
    for name, register in _REGISTRATIONS.items():
        if name in sys.modules:
            register(sys.modules[name])
