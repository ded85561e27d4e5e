"""Pictures of networks, trainings and predictions; they need the extra `plot` (matplotlib)."""

from fastnn.plot.plots import confusion_matrix, graph, layer_statistics, learning_curve, reliability

__all__ = ["confusion_matrix", "graph", "layer_statistics", "learning_curve", "reliability"]
