"""Measures the library's C++ ops beside the same computation in standard ops, with the full model's sizes.

    python benchmarks/decoder.py [BATCH]
"""
import sys
from typing import Iterator, Tuple

import numpy as np
from common import alternate, report, tf

from aster.c_ops import ops
from aster.model.decoder import AttentionDecoder
from aster.model.rectifier import bilinear_sample
from aster.model.rnn import BidirectionalRnn, LstmCell


def pairs(batch: int) -> Iterator[Tuple[str, tf.Operation, tf.Operation]]:
    """Yields a name, an operation with a C++ op, and the same operation of standard ops."""
    random = np.random.RandomState(0)

    def variable(*shape):
        return tf.Variable(random.uniform(-1, 1, shape).astype(np.float32))

    sequence, lengths = variable(batch, 25, 256), tf.fill([batch], 8)
    labels = tf.constant(random.randint(2, 96, [batch, 8]), tf.int32)
    rnns = [BidirectionalRnn(LstmCell(256), LstmCell(256), fused=fused) for fused in (True, False)]
    decoders = [AttentionDecoder("D", LstmCell(256), 96, num_attention_units=256, max_num_steps=30, beam_width=5,
                                 fused=fused) for fused in (True, False)]

    def both(build, modules, gradient=False):
        operations = []
        for module in modules:
            with tf.variable_scope("", reuse=tf.AUTO_REUSE):
                result = build(module)
            operations.append(tf.gradients(tf.reduce_sum(result), sequence)[0].op if gradient else result.op)
        return tuple(operations)

    images, grid = variable(batch, 64, 256, 3), variable(batch, 3200, 2)
    yield ("sample",) + both(lambda sample: sample(images, grid), [ops.bilinear_sample, bilinear_sample])
    yield ("bilstm",) + both(lambda rnn: rnn(sequence, True, "R"), rnns)
    yield ("bilstm and gradient",) + both(lambda rnn: rnn(sequence, True, "R"), rnns, gradient=True)
    yield ("beam search",) + both(lambda decoder: decoder.decode([sequence]).scores, decoders)
    yield ("teacher forcing and gradient",) + both(
        lambda decoder: decoder.teacher_force([sequence], labels, lengths).logits, decoders, gradient=True)


def main(batch: int = 32, seconds: float = 4) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        cases = list(pairs(batch))
        session.run(tf.global_variables_initializer())
        for name, op, standard in cases:
            op_time, standard_time = alternate([session.make_callable(op), session.make_callable(standard)], seconds)
            report("decoder", batch, batch / op_time, case=name, times_plain=round(standard_time / op_time, 2))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
