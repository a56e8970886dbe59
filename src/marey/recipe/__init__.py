"""What a recipe declares: its parts, its published numbers, and the sources of its weights. Knows no torch.

`recipe.py` holds the recipe itself, `source.py` where weights can be fetched from, `hosts.py` what is reported of the hosts.
"""

from marey.recipe.hosts import State as State
from marey.recipe.recipe import EMA as EMA
from marey.recipe.recipe import SGD as SGD
from marey.recipe.recipe import AdamW as AdamW
from marey.recipe.recipe import Averaging as Averaging
from marey.recipe.recipe import Classify as Classify
from marey.recipe.recipe import CosineSchedule as CosineSchedule
from marey.recipe.recipe import DepthGroups as DepthGroups
from marey.recipe.recipe import EffectiveNumber as EffectiveNumber
from marey.recipe.recipe import Erase as Erase
from marey.recipe.recipe import FocalLoss as FocalLoss
from marey.recipe.recipe import Fusion as Fusion
from marey.recipe.recipe import InverseFrequency as InverseFrequency
from marey.recipe.recipe import Measured as Measured
from marey.recipe.recipe import Mix as Mix
from marey.recipe.recipe import Multigrid as Multigrid
from marey.recipe.recipe import MultiLabel as MultiLabel
from marey.recipe.recipe import NetworkConfig as NetworkConfig
from marey.recipe.recipe import Published as Published
from marey.recipe.recipe import Recipe as Recipe
from marey.recipe.recipe import StepSchedule as StepSchedule
from marey.recipe.recipe import TaskConfig as TaskConfig
from marey.recipe.recipe import Test as Test
from marey.recipe.recipe import Train as Train
from marey.recipe.recipe import TSNGroups as TSNGroups
from marey.recipe.recipe import TwoStream as TwoStream
from marey.recipe.recipe import Warmup as Warmup
from marey.recipe.recipe import read_recipe as read_recipe
from marey.recipe.recipe import recipe_from as recipe_from
from marey.recipe.source import Hash as Hash
from marey.recipe.source import Part as Part
from marey.recipe.source import Source as Source
