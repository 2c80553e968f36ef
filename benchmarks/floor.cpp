// The floor: the vanilla network's training written by hand for one thread, one batch size and one pair of widths.
//
// Compiled with -DBATCH=.. -DD=.. -DH=.. (reviews in a batch, embedding dimensions, hidden units; H and D multiples of
// LANES, BATCH of ROWS and of SOME). All parameters lie in one array, in this order: E (vocabulary x D), W (D x H), U (H x H),
// b (H), v (H), c (1), for h_t = tanh(E[word_t] W + h_{t-1} U + b) and p = sigmoid(h_T v + c). Row-major throughout.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#ifdef __AVX512F__
constexpr int LANES = 16, WIDEST = 4, ACCUMULATORS = 16;
#else
constexpr int LANES = 8, WIDEST = 2, ACCUMULATORS = 8;
#endif

constexpr int SOME = 32;  // reviews at once in the gradients of W and U

typedef float Vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

static inline Vec& vec(float* at) { return *reinterpret_cast<Vec*>(at); }
static inline const Vec& vec(const float* at) { return *reinterpret_cast<const Vec*>(at); }

// exp(2x) = 2^whole * 2^part with 2^part by its Taylor series up to the sixth power; tanh = 1 - 2 / (exp(2x) + 1).
static inline Vec tanh_of(Vec x) {
    constexpr float LN2 = 0.69314718f;
    x = x < -10.0f ? Vec{} - 10.0f : x;
    x = x > 10.0f ? Vec{} + 10.0f : x;
    const Vec power = x * (2 / LN2);
    const Ints whole = __builtin_convertvector(power + 64.5f, Ints) - 64;
    const Vec y = (power - __builtin_convertvector(whole, Vec)) * LN2;
    const Vec series = 1 + y * (1 + y * (1 / 2.0f + y * (1 / 6.0f + y * (1 / 24.0f + y * (1 / 120.0f + y / 720.0f)))));
    const Ints scale = (whole + 127) << 23;
    return 1 - 2 / (series * reinterpret_cast<const Vec&>(scale) + 1);
}

// out(i, column, start(column) + sum over k of left(i, k) * right(k)[column]) for M rows and N columns, a register tile
// at a time: left gives a number, right and start a row's address, out takes LANES results.
template <int M, int N, int K, class Left, class Right, class Start, class Out>
static inline void product(Left left, Right right, Start start, Out out) {
    constexpr int WIDE = std::min(WIDEST, N / LANES), ROWS = ACCUMULATORS / WIDE;
    static_assert(M % ROWS == 0 && N % (WIDE * LANES) == 0);
    for (int i = 0; i < M; i += ROWS)
        for (int j = 0; j < N; j += WIDE * LANES) {
            Vec sum[ROWS][WIDE];
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
                for (int w = 0; w < WIDE; w++) sum[r][w] = vec(start(i + r) + j + w * LANES);
            for (int k = 0; k < K; k++) {
                Vec row[WIDE];
#pragma GCC unroll 8
                for (int w = 0; w < WIDE; w++) row[w] = vec(right(k) + j + w * LANES);
#pragma GCC unroll 8
                for (int r = 0; r < ROWS; r++) {
                    const float scale = left(i + r, k);
#pragma GCC unroll 8
                    for (int w = 0; w < WIDE; w++) sum[r][w] += scale * row[w];
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
                for (int w = 0; w < WIDE; w++) out(i + r, j + w * LANES, sum[r][w]);
        }
}

struct alignas(64) RowH { float at[H]; };
struct alignas(64) RowD { float at[D]; };

struct Work {
    std::vector<RowH> hidden, delta{BATCH}, fade{BATCH}, Wx{D}, Uh{H}, UT{H}, dW{D}, dU{H};
    std::vector<RowD> WT{H};
    std::vector<const float*> words;  // the embedded word of (step, review)
    std::vector<float*> dwords;       // where its gradient belongs
    explicit Work(int length) : hidden((length + 1) * BATCH), words(length * BATCH), dwords(length * BATCH) {}
};

// Mean binary cross-entropy of one batch; `gradient` is overwritten. rows[n] is the review's place in `tokens`, `labels`.
static float backpropagate(const float* parameters, float* gradient, const int32_t* tokens, const float* labels,
                           const int32_t* rows, int vocabulary, int length, Work& work) {
    const float *W = parameters + size_t(vocabulary) * D, *U = W + D * H, *b = U + H * H, *v = b + H, *c = v + H;
    float *dW = gradient + size_t(vocabulary) * D, *dU = dW + D * H, *db = dU + H * H, *dv = db + H, *dc = dv + H;
    std::fill(gradient, dc + 1, 0.0f);
    std::fill_n(work.hidden[0].at, BATCH * H, 0.0f);
    std::fill_n(work.dW[0].at, D * H, 0.0f);
    std::fill_n(work.dU[0].at, H * H, 0.0f);
    for (int j = 0; j < H; j++) {
        for (int i = 0; i < H; i++) work.UT[j].at[i] = work.Uh[i].at[j] = U[i * H + j];
        for (int i = 0; i < D; i++) work.WT[j].at[i] = work.Wx[i].at[j] = W[i * H + j];
    }
    for (int n = 0; n < BATCH; n++)
        for (int t = 0; t < length; t++) {
            const size_t word = tokens[size_t(rows[n]) * length + t];
            work.words[t * BATCH + n] = parameters + word * D;
            work.dwords[t * BATCH + n] = gradient + word * D;
        }

    alignas(64) float bias[H];
    std::copy(b, b + H, bias);
    for (int t = 0; t < length; t++) {
        const float* const* x = &work.words[t * BATCH];
        const RowH* h = &work.hidden[t * BATCH];
        RowH* next = &work.hidden[(t + 1) * BATCH];
        for (int n = 0; n < BATCH && t + 1 < length; n++)
            for (int i = 0; i < D; i += 16) __builtin_prefetch(x[BATCH + n] + i);
        product<BATCH, H, D>(
            [&](int n, int k) { return x[n][k]; }, [&](int k) { return work.Wx[k].at; }, [&](int) { return bias; },
            [&](int n, int j, Vec sum) { vec(next[n].at + j) = sum; });
        product<BATCH, H, H>(
            [&](int n, int k) { return h[n].at[k]; }, [&](int k) { return work.Uh[k].at; },
            [&](int n) { return next[n].at; }, [&](int n, int j, Vec sum) { vec(next[n].at + j) = tanh_of(sum); });
    }

    float loss = 0;
    for (int n = 0; n < BATCH; n++) {
        const float* last = work.hidden[length * BATCH + n].at;
        float z = *c;
        for (int j = 0; j < H; j++) z += last[j] * v[j];
        const float label = labels[rows[n]], error = (1 / (1 + std::exp(-z)) - label) / BATCH;
        loss += (std::max(z, 0.0f) - z * label + std::log1p(std::exp(-std::abs(z)))) / BATCH;
        *dc += error;
        for (int j = 0; j < H; j++) {
            dv[j] += error * last[j];
            work.fade[n].at[j] = error * v[j];  // the loss with respect to h_t, from here back to h_0
        }
    }

    alignas(64) const float zero[std::max(H, D)] = {};
    for (int t = length - 1; t >= 0; t--) {
        const float* const* x = &work.words[t * BATCH];
        float* const* dx = &work.dwords[t * BATCH];
        const RowH *h = &work.hidden[t * BATCH], *next = &work.hidden[(t + 1) * BATCH];
        for (int n = 0; n < BATCH; n++)
            for (int j = 0; j < H; j += LANES) {
                const Vec active = vec(next[n].at + j);
                vec(db + j) += vec(work.delta[n].at + j) = vec(work.fade[n].at + j) * (1 - active * active);
            }
        const auto delta = [&](int n, int j) { return work.delta[n].at[j]; };
        product<BATCH, H, H>(
            delta, [&](int k) { return work.UT[k].at; }, [&](int) { return zero; },
            [&](int n, int j, Vec sum) { vec(work.fade[n].at + j) = sum; });
        product<BATCH, D, H>(
            delta, [&](int k) { return work.WT[k].at; }, [&](int) { return zero; },
            [&](int n, int j, Vec sum) { vec(dx[n] + j) += sum; });
        for (int first = 0; first < BATCH; first += SOME) {
            const auto delta_row = [&](int n) { return work.delta[first + n].at; };
            product<H, H, SOME>(
                [&](int i, int n) { return h[first + n].at[i]; }, delta_row, [&](int i) { return work.dU[i].at; },
                [&](int i, int j, Vec sum) { vec(work.dU[i].at + j) = sum; });
            product<D, H, SOME>(
                [&](int i, int n) { return x[first + n][i]; }, delta_row, [&](int i) { return work.dW[i].at; },
                [&](int i, int j, Vec sum) { vec(work.dW[i].at + j) = sum; });
        }
    }
    std::copy_n(work.dW[0].at, D * H, dW);
    std::copy_n(work.dU[0].at, H * H, dU);
    return loss;
}

// One update by Adam with Keras' defaults; every moment of every word moves, as in a dense update.
static void adam(float* parameters, const float* gradient, float* mean, float* square, size_t count, int step) {
    const float rate = 0.001f * std::sqrt(1 - std::pow(0.999f, step)) / (1 - std::pow(0.9f, step));
    for (size_t i = 0; i < count; i++) {
        mean[i] += 0.1f * (gradient[i] - mean[i]);
        square[i] += 0.001f * (gradient[i] * gradient[i] - square[i]);
        parameters[i] -= rate * mean[i] / (std::sqrt(square[i]) + 1e-7f);
    }
}

// Trains `batches` batches of reviews in the order of `rows`; returns their mean loss. `steps` were taken before. The
// last batch's gradient stays in `gradient`; gradient, mean and square are as long as parameters.
extern "C" float epoch(float* parameters, float* gradient, float* mean, float* square, int steps, const int32_t* tokens,
                       const float* labels, const int32_t* rows, int batches, int vocabulary, int length) {
    Work work(length);
    const size_t count = size_t(vocabulary) * D + D * H + H * H + 2 * H + 1;
    float loss = 0;
    for (int batch = 0; batch < batches; batch++) {
        loss += backpropagate(parameters, gradient, tokens, labels, rows + batch * BATCH, vocabulary, length, work);
        adam(parameters, gradient, mean, square, count, steps + batch + 1);
    }
    return loss / batches;
}
