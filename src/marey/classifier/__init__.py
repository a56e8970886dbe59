"""A classifier: a network with its recipe, class names, preprocessing and calibration, ready to train, test and predict.

- `classifier`: `Classifier`, and the checks of a user's own module
- `calibration`: `Calibration`, the temperature and thresholds of its probabilities
- `load_report`: `LoadReport`, what happened to the tensors of its weights file

It exports `Classifier`, its parts `Preprocess`, `Calibration`, `LoadReport` and `Origin`, what it gives, `Output`, and the
checks `require_classifier`, `require_logits`, `refuse_unfinished` and `user_module_config`.

May import: base, video, data, models, recipe, recipes.
"""

from marey.classifier.calibration import Calibration as Calibration
from marey.classifier.classifier import Classifier as Classifier
from marey.classifier.classifier import Output as Output
from marey.classifier.classifier import Preprocess as Preprocess
from marey.classifier.classifier import refuse_unfinished as refuse_unfinished
from marey.classifier.classifier import require_classifier as require_classifier
from marey.classifier.classifier import require_logits as require_logits
from marey.classifier.classifier import user_module_config as user_module_config
from marey.classifier.load_report import LoadReport as LoadReport
from marey.classifier.load_report import Origin as Origin
