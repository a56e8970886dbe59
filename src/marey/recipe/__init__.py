"""A recipe is the declaration behind a published result: network, sampling, pixels, training, test protocol and weights.

- `recipe`: `Recipe` and `TwoStream`, reading and changing recipes
- `task`, `train`, `test`, `published`: its sections: the task, training, the test protocol and published results
- `source`, `hosts`: the addresses of its weights file, and what others reported about their hosts
- `settings`: how nested dictionaries and `--set` change a recipe

It exports `Recipe`, `TwoStream`, `NetworkConfig`, `read_recipe`, `recipe_from`; for tasks `Classify`, `MultiLabel`,
`TaskConfig`; for training `Train`, `SGD`, `AdamW`, `TSNGroups`, `DepthGroups`, `StepSchedule`, `CosineSchedule`, `Warmup`,
`EMA`, `Mix`, `Erase`, `Multigrid`, `FocalLoss`, `InverseFrequency`, `EffectiveNumber`; for tests `Test`, `Averaging`,
`Fusion`; for results `Published`, `Measured`; for weights `Source`, `CompanionFile`, `Hash`, `HostState`. It imports no
torch.

May import: base, data, models, video.
"""

from marey.recipe.hosts import HostState as HostState
from marey.recipe.published import Measured as Measured
from marey.recipe.published import Published as Published
from marey.recipe.recipe import NetworkConfig as NetworkConfig
from marey.recipe.recipe import Recipe as Recipe
from marey.recipe.recipe import TwoStream as TwoStream
from marey.recipe.recipe import read_recipe as read_recipe
from marey.recipe.recipe import recipe_from as recipe_from
from marey.recipe.source import CompanionFile as CompanionFile
from marey.recipe.source import Hash as Hash
from marey.recipe.source import Source as Source
from marey.recipe.task import Classify as Classify
from marey.recipe.task import MultiLabel as MultiLabel
from marey.recipe.task import TaskConfig as TaskConfig
from marey.recipe.test import Averaging as Averaging
from marey.recipe.test import Fusion as Fusion
from marey.recipe.test import Test as Test
from marey.recipe.train import EMA as EMA
from marey.recipe.train import SGD as SGD
from marey.recipe.train import AdamW as AdamW
from marey.recipe.train import CosineSchedule as CosineSchedule
from marey.recipe.train import DepthGroups as DepthGroups
from marey.recipe.train import EffectiveNumber as EffectiveNumber
from marey.recipe.train import Erase as Erase
from marey.recipe.train import FocalLoss as FocalLoss
from marey.recipe.train import InverseFrequency as InverseFrequency
from marey.recipe.train import Mix as Mix
from marey.recipe.train import Multigrid as Multigrid
from marey.recipe.train import StepSchedule as StepSchedule
from marey.recipe.train import Train as Train
from marey.recipe.train import TSNGroups as TSNGroups
from marey.recipe.train import Warmup as Warmup
