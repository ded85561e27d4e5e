"""Pictures of networks and of trainings (the extra `plot`: matplotlib)."""

from fastnn.plot.plots import confusion_matrix, graph, layer_statistics, learning_curve, reliability

__all__ = ["confusion_matrix", "graph", "layer_statistics", "learning_curve", "reliability"]
