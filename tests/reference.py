"""What the ops compute, in plain numpy."""
import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def attend(queries, keys, values, v, lengths):
    """queries [B, N A], keys [B, T, A], values [B, T, 4U], v [N, A] -> glimpses [B, 4U], alignments [B, T]."""
    alignments, start = [], 0
    for n, length in enumerate(lengths):
        query = queries[:, None, n * v.shape[1]:(n + 1) * v.shape[1]]
        scores = np.tanh(keys[:, start:start + length] + query).dot(v[n])
        alignments.append(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))
        start += length
    alignments = np.concatenate(alignments, 1) if alignments else np.zeros(keys.shape[:2])
    return np.einsum("bt,btn->bn", alignments, values), alignments


def lstm_cell(sums, c, forget_bias, peepholes=(0.0, 0.0, 0.0)):
    """Pre-activations [B, 4U], the last c [B, U] and peepholes [U] of i, f and o -> h, c."""
    i, j, f, o = np.split(sums, 4, 1)
    c = sigmoid(f + forget_bias + c * peepholes[1]) * c + sigmoid(i + c * peepholes[0]) * np.tanh(j)
    return sigmoid(o + c * peepholes[2]) * np.tanh(c), c


def attention_lstm_arrays(dtype, *, steps, batch, units, attention_units, lengths):
    """Random inputs of attention_lstm: inputs, state_kernel, keys, values, v."""
    random = np.random.RandomState(0)
    total, memories = sum(lengths), len(lengths)
    shapes = [(batch, steps, 4 * units), (units, 4 * units + memories * attention_units),
              (batch, total, attention_units), (batch, total, 4 * units), (memories, attention_units)]
    return [random.normal(0, 0.7, shape).astype(dtype) for shape in shapes]


def attention_lstm(inputs, state_kernel, keys, values, v, lengths, forget_bias, attend_first, reverse=False):
    """aster.c_ops.ops.attention_lstm -> h [B, S, U]."""
    batch, steps, num_gates = inputs.shape
    inputs = inputs[:, ::-1] if reverse else inputs
    h = c = np.zeros([batch, num_gates // 4])
    outputs = []
    for t in range(steps):
        projection = h.dot(state_kernel)
        sums = inputs[:, t] + projection[:, :num_gates]
        if t > 0 or attend_first:
            sums = sums + attend(projection[:, num_gates:], keys, values, v, lengths)[0]
        h, c = lstm_cell(sums, c, forget_bias)
        outputs.append(h)
    return np.stack(outputs[::-1] if reverse else outputs, 1)


def beam_search(label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias, lengths, beam_width,
                max_num_steps, start_label, end_label, forget_bias, words=None):
    """aster.c_ops.ops.beam_search, sample by sample -> [(score, labels, log_probs, alignments)]. `words`: lists of
    labels, end labels included, of which one must be found."""
    found = []
    for b in range(len(keys)):
        zeros = np.zeros([1, state_kernel.shape[0]])
        beam = [(0.0, [], [], [], (zeros, zeros))]
        for _ in range(max_num_steps):
            candidates = []
            for score, labels, log_probs, alignments, (h, c) in beam:
                if labels and labels[-1] == end_label:
                    none = np.zeros(keys.shape[1])
                    candidates.append((score, labels + [end_label], log_probs + [0.0], alignments + [none], (h, c)))
                    continue
                projection = h.dot(state_kernel)
                glimpse, alignment = attend(projection[:, dense_kernel.shape[0] * 4:], keys[b:b + 1], values[b:b + 1],
                                            v, lengths)
                sums = label_inputs[labels[-1] if labels else start_label] + projection[:, :glimpse.shape[1]] + glimpse
                state = lstm_cell(sums, c, forget_bias)
                logits = (state[0].dot(dense_kernel) + dense_bias)[0]
                for label, log_prob in enumerate(logits - np.log(np.exp(logits).sum())):
                    if words and not any(word[:len(labels) + 1] == labels + [label] for word in words):
                        continue
                    candidates.append((score + log_prob, labels + [label], log_probs + [log_prob],
                                       alignments + [alignment[0]], state))
            beam = sorted(candidates, key=lambda candidate: -candidate[0])[:beam_width]
            if beam[0][1][-1] == end_label:
                break
        found.append(beam[0][:4])
    return found


def bilinear_sample(images, grid):
    """aster.c_ops.ops.bilinear_sample: images [B, H, W, C], grid [B, P, 2] -> [B, P, C]."""
    height, width = images.shape[1:3]
    x = np.clip(grid[..., 0] * width, 0, max(width - 2, 0))
    y = np.clip(grid[..., 1] * height, 0, max(height - 2, 0))
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    batch = np.arange(len(images))[:, None]
    right, down = (x - x0)[..., None], (y - y0)[..., None]
    return ((1 - right) * (1 - down) * images[batch, y0, x0] + (1 - right) * down * images[batch, y1, x0] +
            right * (1 - down) * images[batch, y0, x1] + right * down * images[batch, y1, x1])


def numeric_gradient(function, array, step=1e-6):
    """The gradient of a scalar function at a float64 array, by central differences."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(*array.shape):
        value = array[index]
        array[index] = value + step
        above = function(array)
        array[index] = value - step
        gradient[index] = (above - function(array)) / (2 * step)
        array[index] = value
    return gradient


def batch_norm(x, scale, offset, d_y, *, epsilon, relu):
    """x [R, C] -> (y, mean, variance with R - 1, inverse deviation), and for the gradient d_y of y those of x, scale
    and offset."""
    x, d_y = x.astype(np.float64), d_y.astype(np.float64)
    mean, variance = x.mean(0), x.var(0)
    inverse = (variance + epsilon) ** -0.5
    normalized = (x - mean) * inverse
    y = normalized * scale + offset
    d = np.where(y > 0, d_y, 0.0) if relu else d_y
    d_x = scale * inverse * (d - d.mean(0) - normalized * (d * normalized).mean(0))
    results = np.maximum(y, 0) if relu else y, mean, variance * len(x) / max(len(x) - 1, 1), inverse
    return results, (d_x, (d * normalized).sum(0), d.sum(0))
