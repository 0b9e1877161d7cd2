"""The systems, for use: weights with their contract, from a record to findings. No training code is in this room.

A model is a folder (`contract`): ``model.json``, ``weights.safetensors``, ``golden.safetensors``. `adding.KNOWN`
names the systems that this version knows; a model folder of any class in `nets.NETS` can be used by its path.
"""

from cardioloom.models.cards import Card
from cardioloom.models.contract import Contract
from cardioloom.models.model import Model, Prediction
from cardioloom.models.task import Output, Task

__all__ = ["Card", "Contract", "Model", "Output", "Prediction", "Task"]
