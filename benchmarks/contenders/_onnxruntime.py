"""ONNX Runtime: the network as a graph of Gemm and activation, exported from the same weights."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.works import Work, batch, weights

from ._base import Contender, Job, Setting


class ONNXRuntime(Contender):
    def __init__(self, setting: Setting) -> None:
        import onnxruntime

        self.onnxruntime = onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = setting.threads
        self.options.inter_op_num_threads = 1
        self.options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.version = onnxruntime.__version__

    def predict(self, work: Work):
        session = self.onnxruntime.InferenceSession(
            model(work), self.options, providers=["CPUExecutionProvider"]
        )
        x = batch(work)[0]
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        out = np.empty((work.rows, work.widths[-1]), work.dtype)
        binding.bind_output("y", "cpu", 0, out.dtype, out.shape, out.ctypes.data)

        def bound():
            session.run_with_iobinding(binding)
            return out

        return [
            Job("run", lambda: session.run(None, {"x": x})[0]),
            Job("run_with_iobinding", bound),
        ]

    predictor = predict

    def predictor_int8(self, work: Work):
        """Weights of eight bits, activations of eight bits with a range of each call."""
        from onnxruntime.quantization import QuantType, quantize_dynamic

        x, jobs = batch(work)[0], []
        for label, options in {
            "signed weights": {"weight_type": QuantType.QInt8},
            "unsigned weights": {"weight_type": QuantType.QUInt8},
            "signed weights, by column": {"weight_type": QuantType.QInt8, "per_channel": True},
        }.items():
            with tempfile.TemporaryDirectory() as folder:
                plain, narrow = Path(folder, "network.onnx"), Path(folder, "narrow.onnx")
                plain.write_bytes(model(work))
                quantize_dynamic(plain, narrow, **options)
                session = self.onnxruntime.InferenceSession(
                    narrow.read_bytes(), self.options, providers=["CPUExecutionProvider"]
                )
            jobs.append(Job(label, partial(_first_output, session, x)))
        return jobs


def _first_output(session, x: np.ndarray) -> np.ndarray:
    return session.run(None, {"x": x})[0]


def model(work: Work) -> bytes:
    """The network as an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    real = TensorProto.FLOAT if work.dtype == "float32" else TensorProto.DOUBLE
    nodes, arrays, name = [], [], "x"
    last = len(work.widths) - 2
    for i, (weight, bias) in enumerate(weights(work)):
        arrays += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        z = "y" if i == last else f"z{i}"
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [z]))
        if i < last:
            nodes.append(helper.make_node(work.activation.capitalize(), [z], [f"a{i}"]))
            name = f"a{i}"
    x = helper.make_tensor_value_info("x", real, [None, work.widths[0]])
    y = helper.make_tensor_value_info("y", real, [None, work.widths[-1]])
    graph = helper.make_graph(nodes, "network", [x], [y], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


contender = ONNXRuntime
