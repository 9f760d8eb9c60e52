"""The workloads of `gradus-bench`, written for PyTorch: same nets, sizes, losses and optimisers.

Each function decorated with `@workload(name)` makes a `Task`. Names and order are those of
`crates/bench/src/registry.rs`; `compare.py` checks that the numbers of parameters agree.
"""

import torch
import torch.nn.functional as F
from torch import nn

WORKLOADS = {}


def workload(name):
    def note(make):
        WORKLOADS[name] = make
        return make

    return note


class Task:
    """A model with fixed data, its loss, its output and how it is optimised.

    `products`, where given, holds billions of operations of (forward pass, training step) of layers that PyTorch's
    counter does not see.
    """

    def __init__(self, model, inputs, loss, optimizer="adam", output=None, products=None):
        self.model, self.inputs, self.loss_of, self.kind = model, list(inputs), loss, optimizer
        self.output_of = output or (lambda model, *inputs: model(*inputs))
        self.products = products

    def channels_last(self):
        self.model = self.model.to(memory_format=torch.channels_last)
        self.inputs = [to_channels_last(x) for x in self.inputs]

    def prepare(self, wrap, fused):
        """Makes the functions that a step calls; `wrap` may compile them."""
        self.output = wrap(lambda *inputs: self.output_of(self.model, *inputs))
        self.loss = wrap(lambda *inputs: self.loss_of(self.model, *inputs))
        self.optimizer = make_optimizer(self.kind, self.model.parameters(), fused)

    def infer_step(self):
        with torch.no_grad():
            return total(self.output(*self.inputs)).item()

    def train_step(self):
        self.optimizer.zero_grad()
        loss = self.loss(*self.inputs)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def to_channels_last(x):
    return x.to(memory_format=torch.channels_last) if x.dim() == 4 else x


def total(output):
    return sum(o.sum() for o in output) if isinstance(output, tuple) else output.sum()


OPTIMIZERS = {
    "adam": (torch.optim.Adam, dict(lr=1e-3)),
    "adamw": (torch.optim.AdamW, dict(lr=3e-4)),
    "momentum": (torch.optim.SGD, dict(lr=0.01, momentum=0.9, weight_decay=5e-4)),
    "sgd 0.003": (torch.optim.SGD, dict(lr=3e-3)),
    "sgd 0.1": (torch.optim.SGD, dict(lr=0.1)),
    "dcgan": (torch.optim.Adam, dict(lr=2e-4, betas=(0.5, 0.999))),
    "wgan": (torch.optim.Adam, dict(lr=1e-4, betas=(0.0, 0.9))),
}


def make_optimizer(kind, parameters, fused):
    make, options = OPTIMIZERS[kind]
    return make(parameters, fused=True, **options) if fused else make(parameters, **options)


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def indices(n, a, b, below):
    return (torch.arange(n) * a + b) % below


def labels(n, classes):
    return indices(n, 7, 0, classes)


def cross_entropy(target):
    return lambda model, *inputs: F.cross_entropy(model(*inputs), target)


def classifier(model, x, classes, optimizer="adam", products=None):
    return Task(model, [x], cross_entropy(labels(x.size(0), classes)), optimizer, products=products)


# The core workloads.


@workload("w01_mlp_b64")
def mlp(batch=64):
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return classifier(net, normal(batch, 784), 10, "sgd 0.003")


@workload("w02_mlp_wide_b128")
def mlp_wide():
    layers = []
    for inputs in (784, 1024):
        layers += [nn.Linear(inputs, 1024), nn.ReLU(), nn.Dropout(0.2)]
    return classifier(nn.Sequential(*layers, nn.Linear(1024, 10)), normal(128, 784), 10)


@workload("w03_cnn_mnist_b64")
def cnn_mnist():
    layers = []
    for inputs, outputs in ((1, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)]
    return classifier(nn.Sequential(*layers), normal(64, 1, 28, 28), 10)


@workload("w04_cnn_cifar_b32")
def cnn_cifar():
    layers = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Dropout(0.25), nn.Linear(1024, 500), nn.ReLU(), nn.Dropout(0.25), nn.Linear(500, 10)]
    return classifier(nn.Sequential(*layers), normal(32, 3, 32, 32), 10)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def residual_blocks(inputs, stages, blocks):
    layers = []
    for outputs, stride in stages:
        for block in range(blocks):
            layers.append(ResidualBlock(inputs, outputs, stride if block == 0 else 1))
            inputs = outputs
    return layers


def resnet18_blocks():
    return residual_blocks(64, ((64, 1), (128, 2), (256, 2), (512, 2)), 2)


def conv_bn_relu(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def pooled_head(width, classes):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


@workload("w05_resnet18_cifar_b16")
def resnet18(batch=16):
    net = nn.Sequential(*conv_bn_relu(3, 64), *resnet18_blocks(), *pooled_head(512, 10))
    return classifier(net, normal(batch, 3, 32, 32), 10)


class CharNet(nn.Module):
    def __init__(self, layer, hidden):
        super().__init__()
        self.layers = layer(83, hidden, num_layers=2, batch_first=True)
        self.fc = nn.Linear(hidden, 83)

    def forward(self, x):
        return self.fc(self.layers(x)[0]).flatten(0, 1)


def recurrent_products(batch, steps, inputs, hidden, gates, layers, outputs, directions=1):
    """Forward pass and training step; the gradient of the first layer's input is not needed."""
    forward = first = 0
    for layer in range(layers):
        width = inputs if layer == 0 else hidden * directions
        by_input = 2 * batch * steps * gates * hidden * width * directions
        forward += by_input + 2 * batch * steps * gates * hidden * hidden * directions
        if layer == 0:
            first = by_input
    forward += 2 * batch * steps * hidden * directions * outputs
    return forward / 1e9, (3 * forward - first) / 1e9


def char_net(layer, gates, batch, hidden):
    products = recurrent_products(batch, 64, 83, hidden, gates, 2, 83)
    task = Task(CharNet(layer, hidden), [normal(batch, 64, 83)], cross_entropy(labels(batch * 64, 83)))
    task.products = products
    return task


@workload("w06_char_lstm_b32")
def char_lstm():
    return char_net(nn.LSTM, 4, 32, 256)


class TokenTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.fc = nn.Linear(256, 83)

    def forward(self, x):
        return self.fc(self.encoder(x)).flatten(0, 1)


@workload("w07_transformer_b8")
def transformer():
    return Task(TokenTransformer(), [normal(8, 128, 256)], cross_entropy(labels(8 * 128, 83)))


def small_normal(layer):
    nn.init.normal_(layer.weight, 0.0, 0.02)
    return layer


def dcgan_generator():
    layers = []
    for inputs, outputs, stride, padding in ((100, 256, 1, 0), (256, 128, 2, 1), (128, 64, 2, 1)):
        up = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
        layers += [small_normal(up), nn.BatchNorm2d(outputs), nn.ReLU()]
    layers += [small_normal(nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False)), nn.Tanh()]
    return nn.Sequential(*layers)


def dcgan_discriminator():
    layers = [small_normal(nn.Conv2d(3, 64, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2)]
    for inputs, outputs in ((64, 128), (128, 256)):
        down = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        layers += [small_normal(down), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    layers += [small_normal(nn.Conv2d(256, 1, 4, 1, 0, bias=False)), nn.Flatten()]
    return nn.Sequential(*layers)


class Gan(Task):
    """Two nets, a step of each; inference is the generator alone."""

    def __init__(self, generator, judge, batch, optimizer):
        model = nn.ModuleDict({"generator": generator, "judge": judge})
        super().__init__(model, [normal(batch, 100, 1, 1, seed=2)], None, optimizer)
        self.real = normal(batch, 3, 32, 32).tanh()

    def channels_last(self):
        super().channels_last()
        self.real = to_channels_last(self.real)

    def prepare(self, wrap, fused):
        self.generate = wrap(lambda z: self.model["generator"](z))
        self.output = self.generate
        self.judge = wrap(lambda x: self.model["judge"](x))
        self.generator_optimizer = make_optimizer(self.kind, self.model["generator"].parameters(), fused)
        self.judge_optimizer = make_optimizer(self.kind, self.model["judge"].parameters(), fused)


class DcGan(Gan):
    def train_step(self):
        def loss(x, label):
            logits = self.judge(x)
            return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

        self.judge_optimizer.zero_grad()
        on_real = loss(self.real, 1.0)
        on_real.backward()
        fake = self.generate(self.inputs[0])
        on_fake = loss(fake.detach(), 0.0)
        on_fake.backward()
        self.judge_optimizer.step()
        self.generator_optimizer.zero_grad()
        loss(fake, 1.0).backward()
        self.generator_optimizer.step()
        return on_real.item() + on_fake.item()


@workload("w08_dcgan_b32")
def dcgan():
    return DcGan(dcgan_generator(), dcgan_discriminator(), 32, "dcgan")


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        twice = lambda i, o: nn.Sequential(*conv_bn_relu(i, o), *conv_bn_relu(o, o))
        self.down1, self.down2, self.middle = twice(1, 32), twice(32, 64), twice(64, 128)
        self.pool = nn.MaxPool2d(2)
        self.up2, self.conv2 = nn.ConvTranspose2d(128, 64, 2, 2), twice(128, 64)
        self.up1, self.conv1 = nn.ConvTranspose2d(64, 32, 2, 2), twice(64, 32)
        self.out = nn.Conv2d(32, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.middle(self.pool(b))
        y = self.conv2(torch.cat([self.up2(c), b], 1))
        return self.out(self.conv1(torch.cat([self.up1(y), a], 1)))


@workload("w11_unet_b4")
def unet():
    pixels = (indices(4 * 64 * 64, 7, 0, 6) % 2).reshape(4, 64, 64)
    return Task(UNet(), [normal(4, 1, 64, 64)], cross_entropy(pixels))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden, layers = inputs * expansion, []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv, self.shortcut = nn.Sequential(*layers), inputs == outputs and stride == 1

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


@workload("w12_mobilenet_b16")
def mobilenet():
    layers, inputs = [nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    for expansion, outputs, stride in ((1, 16, 1), (6, 24, 1), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 2)):
        layers.append(InvertedResidual(inputs, outputs, stride, expansion))
        inputs = outputs
    # PyTorch's counter takes the gradients of grouped convolutions for those of full ones.
    forward, first = 0.83311, 2 * 16 * 32 * 32 * 32 * 27 / 1e9
    products = forward, 3 * forward - first
    net = nn.Sequential(*layers, *pooled_head(64, 10))
    return classifier(net, normal(16, 3, 32, 32), 10, products=products)


class SkipGram(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.words = nn.Embedding(20_000, 128, sparse=sparse)
        self.contexts = nn.Embedding(20_000, 128, sparse=sparse)
        nn.init.uniform_(self.words.weight, -0.5 / 128, 0.5 / 128)
        nn.init.normal_(self.contexts.weight, 0.0, 0.01)

    def forward(self, center, positive, negative):
        v = self.words(center)
        scores = (v * self.contexts(positive)).sum(1)
        return scores, torch.bmm(self.contexts(negative), v.unsqueeze(2)).squeeze(2)


@workload("w15_skipgram_b512")
def skipgram(sparse=False):
    words = lambda n, a, b: indices(n, a, b, 20_000)

    def loss(model, *inputs):
        positive, negative = model(*inputs)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)).mean()

    inputs = [words(512, 7919, 3), words(512, 6101, 11), words(2560, 3571, 17).reshape(512, 5)]
    forward = 2 * 512 * 6 * 128 / 1e9
    return Task(SkipGram(sparse), inputs, loss, "sgd 0.1", products=(forward, 3 * forward))


class NormStack(nn.Module):
    def __init__(self):
        super().__init__()
        layer = lambda: nn.Sequential(nn.Linear(512, 512), nn.LayerNorm(512), nn.GELU(), nn.Dropout(0.1))
        self.layers = nn.ModuleList(layer() for _ in range(6))
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return self.fc(x)


@workload("w20_elementwise_norm_b64")
def norm_stack():
    return classifier(NormStack(), normal(64, 512), 10)


# Further workloads.


@workload("m01_char_gru_b32")
def char_gru():
    return char_net(nn.GRU, 3, 32, 256)


@workload("m02_char_rnn_b32")
def char_rnn():
    return char_net(nn.RNN, 1, 32, 256)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5000, 128)
        self.lstm = nn.LSTM(128, 128, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(256, 20)

    def forward(self, x):
        return self.fc(self.lstm(self.words(x))[0]).flatten(0, 1)


@workload("m03_bilstm_b16")
def bilstm():
    words = indices(16 * 100, 7919, 3, 5000).reshape(16, 100)
    forward, _ = recurrent_products(16, 100, 128, 128, 4, 1, 20, directions=2)
    loss = cross_entropy(labels(16 * 100, 20))
    return Task(Tagger(), [words], loss, products=(forward, 3 * forward))


@workload("m04_char_lstm_512_b8")
def char_lstm_512():
    return char_net(nn.LSTM, 4, 8, 512)


@workload("m05_vgg11_bn_b16")
def vgg11_bn():
    layers, inputs = [], 3
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for outputs in stage:
            layers += conv_bn_relu(inputs, outputs)
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))
    return classifier(net, normal(16, 3, 32, 32), 10)


@workload("m06_alexnet_b4")
def alexnet():
    net = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(9216, 1024), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(1024, 100),
    )  # fmt: skip
    return classifier(net, normal(4, 3, 224, 224), 100, "momentum")


class Inception(nn.Module):
    def __init__(self, inputs, one, three, five, pooled):
        super().__init__()
        conv = lambda i, o, k: [nn.Conv2d(i, o, k, padding=k // 2), nn.ReLU()]
        self.branches = nn.ModuleList([
            nn.Sequential(*conv(inputs, one, 1)),
            nn.Sequential(*conv(inputs, three[0], 1), *conv(*three, 3)),
            nn.Sequential(*conv(inputs, five[0], 1), *conv(*five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv(inputs, pooled, 1)),
        ])

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


@workload("m07_inception_b8")
def inception_net():
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(),
        Inception(192, 64, (96, 128), (16, 32), 32),
        Inception(256, 128, (128, 192), (32, 96), 64),
        nn.MaxPool2d(2),
        Inception(480, 192, (96, 208), (16, 48), 64),
        *pooled_head(512, 10),
    )  # fmt: skip
    return classifier(net, normal(8, 3, 32, 32), 10)


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


@workload("m08_densenet_b16")
def densenet():
    layers, width = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for block in range(3):
        for _ in range(6):
            layers.append(DenseLayer(width, 12))
            width += 12
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        if block < 2:
            layers += [nn.Conv2d(width, width, 1, bias=False), nn.AvgPool2d(2)]
    return classifier(nn.Sequential(*layers, *pooled_head(width, 10)), normal(16, 3, 32, 32), 10)


@workload("m09_resnet18_b1")
def resnet18_alone():
    return resnet18(1)


@workload("m10_resnet18_224_b1")
def resnet18_large():
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    net = nn.Sequential(*stem, *resnet18_blocks(), *pooled_head(512, 1000))
    return classifier(net, normal(1, 3, 224, 224), 1000, "momentum")


@workload("m11_mlp_b1")
def mlp_alone():
    return mlp(1)


class ViT(nn.Module):
    def __init__(self, width, heads, depth):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", norm_first=True, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token.expand(y.size(0), -1, -1), y], 1) + self.positions
        return self.fc(self.encoder(y)[:, 0])


@workload("m12_vit_b16")
def vit():
    return classifier(ViT(192, 3, 6), normal(16, 3, 32, 32), 10, "adamw")


class CausalAttention(nn.Module):
    def __init__(self, width, heads, p):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dropout, self.heads, self.p = nn.Dropout(p), heads, p

    def forward(self, x):
        n, l, width = x.shape
        q, k, v = (t.view(n, l, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, 2))
        p = self.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        return self.dropout(self.out(y.transpose(1, 2).reshape(n, l, width)))


class GptBlock(nn.Module):
    def __init__(self, width, heads, p):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), CausalAttention(width, heads, p)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(p))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, vocabulary, length, width, heads, depth, p):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.dropout = nn.Dropout(p)
        self.blocks = nn.Sequential(*(GptBlock(width, heads, p) for _ in range(depth)))
        self.norm, self.fc = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x):
        y = self.tokens(x) + self.positions(torch.arange(x.size(1)))
        return self.fc(self.norm(self.blocks(self.dropout(y)))).flatten(0, 1)


@workload("m13_gpt_b4")
def gpt():
    tokens = indices(4 * 256, 7919, 3, 1000).reshape(4, 256)
    return Task(Gpt(1000, 256, 256, 8, 4, 0.1), [tokens], cross_entropy(labels(4 * 256, 1000)), "adamw")


def mse(target):
    return lambda model, *inputs: F.mse_loss(model(*inputs), target)


@workload("m14_long_attention_b1")
def long_attention():
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
    return Task(layer, [normal(1, 2048, 256)], mse(normal(1, 2048, 256, seed=2)))


@workload("m15_autoencoder_b32")
def conv_autoencoder():
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(32, 64, 7), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 7), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1), nn.Sigmoid(),
    )  # fmt: skip
    x = normal(32, 1, 28, 28).sigmoid()
    return Task(net, [x], mse(x))


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean, self.log_variance = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def encode(self, x):
        h = F.relu(self.hidden(x))
        return self.mean(h), self.log_variance(h)

    def loss(self, x):
        mean, log_variance = self.encode(x)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (reconstruction + divergence) / x.size(0)

    def forward(self, x):
        return self.decoder(self.encode(x)[0])


@workload("m16_vae_b128")
def vae():
    return Task(Vae(), [normal(128, 784).sigmoid()], lambda model, x: model.loss(x))


class TimedBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(128, outputs)
        self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, time):
        y = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.conv2(F.silu(self.norm2(y))) + self.shortcut(x)


class PictureAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = (t.reshape(n, 4, c // 4, h * w).transpose(2, 3) for t in self.qkv(self.norm(x)).chunk(3, 1))
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(2, 3).reshape(n, c, h, w))


class DiffusionUNet(nn.Module):
    def __init__(self):
        super().__init__()
        conv = lambda i, o, stride=1: nn.Conv2d(i, o, 3, stride, 1)
        self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.inlet, self.down1, self.shrink1 = conv(3, 32), TimedBlock(32, 32), conv(32, 32, 2)
        self.down2, self.attention2, self.shrink2 = TimedBlock(32, 64), PictureAttention(64), conv(64, 64, 2)
        self.middle1, self.attention, self.middle2 = TimedBlock(64, 128), PictureAttention(128), TimedBlock(128, 128)
        self.grow2, self.up2 = conv(128, 64), TimedBlock(128, 64)
        self.grow1, self.up1 = conv(64, 32), TimedBlock(64, 32)
        self.norm, self.outlet = nn.GroupNorm(8, 32), conv(32, 3)

    def forward(self, x, time):
        t = self.time(time)
        larger = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        a = self.down1(self.inlet(x), t)
        b = self.attention2(self.down2(self.shrink1(a), t))
        c = self.attention(self.middle1(self.shrink2(b), t))
        c = self.middle2(c, t)
        y = self.up2(torch.cat([self.grow2(larger(c)), b], 1), t)
        y = self.up1(torch.cat([self.grow1(larger(y)), a], 1), t)
        return self.outlet(F.silu(self.norm(y)))


@workload("m17_diffusion_b8")
def diffusion():
    x, noise = normal(8, 3, 32, 32), normal(8, 3, 32, 32, seed=2)
    return Task(DiffusionUNet(), [x, normal(8, 32, seed=3).sin()], mse(noise))


class WganGp(Gan):
    def train_step(self):
        fake = self.generate(self.inputs[0])
        held = fake.detach()
        self.judge_optimizer.zero_grad()
        distance = self.judge(held).mean() - self.judge(self.real).mean()
        share = torch.rand(held.size(0), 1, 1, 1)
        between = (self.real * share + held * (1 - share)).requires_grad_(True)
        (slope,) = torch.autograd.grad(self.judge(between).sum(), between, create_graph=True)
        loss = distance + 10.0 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss.backward()
        self.judge_optimizer.step()
        self.generator_optimizer.zero_grad()
        (-self.judge(fake).mean()).backward()
        self.generator_optimizer.step()
        return loss.item()


@workload("m18_wgan_gp_b16")
def wgan_gp():
    layers = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
    critic = nn.Sequential(*layers, nn.Conv2d(256, 1, 4), nn.Flatten())
    return WganGp(dcgan_generator(), critic, 16, "wgan")


class TextCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10_000, 128)
        self.convs = nn.ModuleList(nn.Conv1d(128, 100, width) for width in (3, 4, 5))
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(300, 2)

    def forward(self, x):
        words = self.words(x).transpose(1, 2)
        return self.fc(self.dropout(torch.cat([F.relu(conv(words)).amax(2) for conv in self.convs], 1)))


@workload("m19_text_cnn_b32")
def text_cnn():
    return classifier(TextCnn(), indices(32 * 128, 7919, 3, 10_000).reshape(32, 128), 2)


@workload("m20_bag_b256")
def bag_of_embeddings(sparse=False):
    net = nn.Sequential(nn.EmbeddingBag(50_000, 64, sparse=sparse), nn.Linear(64, 4))
    return classifier(net, indices(256 * 32, 7919, 3, 50_000).reshape(256, 32), 4, "sgd 0.1")


class TemporalBlock(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        layers = []
        for i in (inputs, outputs):
            conv = nn.Conv1d(i, outputs, 3, dilation=dilation)
            layers += [nn.ConstantPad1d((2 * dilation, 0), 0.0), conv, nn.ReLU(), nn.Dropout(0.1)]
        self.net = nn.Sequential(*layers)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        return F.relu(self.net(x) + self.shortcut(x))


class Tcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(TemporalBlock(i, 64, d) for i, d in ((8, 1), (64, 2), (64, 4), (64, 8))))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.blocks(x)[:, :, -1])


@workload("m21_tcn_b16")
def tcn():
    return classifier(Tcn(), normal(16, 8, 256), 10)


@workload("m22_conv3d_b4")
def conv3d():
    layers = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv3d(inputs, outputs, 3, padding=1), nn.BatchNorm3d(outputs), nn.ReLU(), nn.MaxPool3d(2)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(64, 10))
    return classifier(net, normal(4, 1, 16, 32, 32), 10)


@workload("m23_resnet20_b32")
def resnet20():
    blocks = residual_blocks(16, ((16, 1), (32, 2), (64, 2)), 3)
    net = nn.Sequential(*conv_bn_relu(3, 16), *blocks, *pooled_head(64, 10))
    return classifier(net, normal(32, 3, 32, 32), 10, "momentum")


@workload("m24_siamese_b32")
def siamese():
    layers = []
    for inputs, outputs in ((1, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 5), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 64))
    pictures = [normal(32, 1, 28, 28, seed=s) for s in (1, 2, 3)]
    loss = lambda model, *triplet: F.triplet_margin_loss(*(model(x) for x in triplet))
    return Task(net, pictures, loss, output=lambda model, anchor, *_: model(anchor))


# Layers of embeddings may hand their gradients on by rows: the faster way is what is reported.
SPARSE = {"w15_skipgram_b512": skipgram, "m20_bag_b256": bag_of_embeddings}
