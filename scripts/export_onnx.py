"""Write a model as one ONNX graph, from the waveform to the scores, and compare it with PyTorch.

The graph goes beside the model as model.onnx, where scripts/predict.py and hfaudio.inference.Predictor find it; they
then need no torch. It takes any number of recordings of any length.
"""

import sys
from pathlib import Path

from hfaudio.command_line import FlagParser, exit_on
from hfaudio.inference import ModelError
from hfaudio.inference.model_folder import find_model
from hfaudio.inference.onnx_backend import ONNX_FILE
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.torch_backend import TorchBackend


def main(argv: list[str]) -> None:
    """Exports, from flags to the graph."""
    parser = FlagParser(prog="export_onnx.py", description=__doc__)
    parser.add_argument("--model", default="runs/latest", help="A folder, or owner/name[@revision] on the Hub.")
    parser.add_argument("--output", help="Where the graph goes [model.onnx in the model's folder].")
    flags = parser.parse_args(parser.flags(argv))
    with exit_on(ModelError, ValueError):
        folder = find_model(flags.model)
        path = Path(flags.output or folder / ONNX_FILE)
        if not path.parent.is_dir():
            raise ValueError(f"Expected the folder {path.parent} for --output, found none; make it first.")
        model = TorchBackend(folder, device="cpu")
        difference = export_onnx(model.model, model.extractor, path)
    print(f"graph: {path} ({path.stat().st_size / 1e6:.1f} MB); the scores differ from PyTorch's by {difference:.1g}")


if __name__ == "__main__":
    main(sys.argv[1:])
