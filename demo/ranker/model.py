"""The ranker as an MLServer model: V2 inference in, onnxruntime on one thread, scores out.

    POST /v2/models/ranker/infer
    {"inputs": [{"name": "user", "shape": [N], "datatype": "INT64", "data": [7, 7, ...]},
                {"name": "item", "shape": [N], "datatype": "INT64", "data": [12, 951, ...]}]}

One request asks for one user's N candidates. The user's id is repeated per row because MLServer's adaptive batching
joins requests along the first axis: rows of different users then go through the network together, whatever N each has.
MLServer reads its settings from the environment too: MLSERVER_MODEL_URI picks the variant (ranker-fp32.onnx or
ranker-int8.onnx); MLSERVER_MODEL_MAX_BATCH_SIZE (requests) and MLSERVER_MODEL_MAX_BATCH_TIME (seconds) make it batch.
MLSERVER_SERVER_NAME comes back in the answer's header ce-inferenceservicename, so that a client sees who answered.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver.utils import get_model_uri
from numpy.typing import NDArray

MAX_ROWS = 20_000
# Enough to touch every page of the weights, so that the first real request is not the slow one.
WARM_UP_ROWS = 200


class Ranker(MLModel):
    """One ONNX session; ready after one warm-up run."""

    async def load(self) -> bool:
        """Opens the model file named by the settings and runs it once."""
        options = onnxruntime.SessionOptions()
        # A CPU limit below one core: a second thread would only burn the same quota earlier and be throttled longer.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            await get_model_uri(self._settings), options, providers=["CPUExecutionProvider"]
        )
        self._scores(np.zeros(WARM_UP_ROWS, np.int64), np.zeros(WARM_UP_ROWS, np.int64))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Scores of all rows. A malformed request is answered with 400 by MLServer."""
        ids = {tensor.name: tensor for tensor in payload.inputs}
        if set(ids) != {"user", "item"}:
            raise InferenceError(f"inputs must be user and item, not {sorted(ids)}")
        user, item = (_ids(name, ids[name].data.root) for name in ("user", "item"))
        if len(user) != len(item):
            raise InferenceError(f"{len(user)} users for {len(item)} items: both need one id a row")
        score = self._scores(user, item)
        output = ResponseOutput(name="score", shape=[len(score)], datatype="FP32", data=score.tolist())
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])

    def _scores(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.float64]:
        (score,) = self._session.run(["score"], {"user": user, "item": item})
        # Five digits order the candidates as well as nine do, and halve the answer.
        return np.asarray(score, np.float64).round(5)


def _ids(name: str, data: object) -> NDArray[np.int64]:
    ids = np.asarray(data)
    if ids.dtype.kind != "i" or ids.ndim != 1 or not 0 < len(ids) <= MAX_ROWS:
        raise InferenceError(f"{name} must be a flat list of 1 to {MAX_ROWS} whole numbers")
    return ids.astype(np.int64, copy=False)
