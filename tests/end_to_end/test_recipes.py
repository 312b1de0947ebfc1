"""The recipes under scripts/recipes."""

from pathlib import Path

import pytest
import yaml

from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.training import RunArguments

RECIPES = Path(__file__).parents[2] / "scripts" / "recipes"


@pytest.mark.parametrize("recipe", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_line_of_a_recipe_is_a_flag_that_arrives(recipe: Path) -> None:
    run = RunArguments(*CommandLineParser(RunArguments.parts()).parse([str(recipe), "--use_cpu"]))
    parts = (run.data, run.features, run.model, run.augmentation, run.training)
    found = {name: value for part in parts for name, value in vars(part).items()}
    for name, value in yaml.safe_load(recipe.read_text()).items():
        assert found[name] == value


def test_the_quick_recipe_is_the_default() -> None:
    parser = CommandLineParser(RunArguments.parts())
    default, quick = (
        RunArguments(*parser.parse(argv)) for argv in (["--use_cpu"], [str(RECIPES / "quick.yaml"), "--use_cpu"])
    )
    assert quick.result_settings() == default.result_settings()
