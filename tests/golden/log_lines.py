#!/usr/bin/env python3
"""Writes log_lines.inc: the log lines of MMEngine's LogProcessor (pip install mmengine torch) for a message hub told the same
numbers. tests/runner/log_processor_test.c tells them again and compares letter by letter. Usage: log_lines.py > log_lines.inc"""
import types

from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor
from mmengine.runner import log_processor as module

module.is_cuda_available = lambda: True  # the line has a memory item
MEMORY = 482
CUSTOM = [dict(data_src='loss', method_name='mean', window_size=3, log_name='loss_3'),
          dict(data_src='loss', method_name='max', window_size='global', log_name='loss_max'),
          dict(data_src='loss', method_name='min', log_name='loss_min'),
          dict(data_src='grad_norm', method_name='current'),
          dict(data_src='nothing', method_name='mean', window_size=2, log_name='not_there')]

# name, processor's options, phase, epoch, iter, max_epochs, max_iters, length, batch, eta, train loop
CASES = [
    ('train', {}, 'train', 0, 49, 12, 1200, 100, 49, 4321.9, True),
    ('train_wide', {}, 'train', 99, 9999, 100, 10000, 100, 99, 0.0, True),
    ('train_days', {}, 'train', 2, 5, 9, 100, 7, 6, 90000.5, True),
    ('train_many_days', {}, 'train', 2, 5, 9, 100, 7, 6, 864000.0 + 3723, True),
    ('train_no_eta', {}, 'train', 0, 0, 3, 30, 10, 0, None, True),
    ('train_iter', dict(by_epoch=False), 'train', 0, 49, 1, 80000, 100, 49, 59.0, True),
    ('train_digits', dict(num_digits=2), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('train_window', dict(window_size=2), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('train_hierarchy', dict(log_with_hierarchy=True), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('train_pattern', dict(mean_pattern='^lr$'), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('train_custom', dict(custom_cfg=CUSTOM), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('train_custom_hierarchy', dict(custom_cfg=CUSTOM, log_with_hierarchy=True), 'train', 0, 9, 12, 1200, 100, 9, 60.0, True),
    ('val', {}, 'val', 1, 100, 12, 1200, 125, 9, 4321.0, True),
    ('val_alone', {}, 'val', 0, 0, None, None, 125, 9, 4321.0, False),
    ('val_iter', dict(by_epoch=False), 'val', 1, 100, 1, 1200, 125, 9, 4321.0, True),
    ('test', {}, 'test', 0, 0, None, None, 125, 9, 1.0, False),
    ('test_iter', dict(by_epoch=False), 'test', 0, 0, None, None, 125, 124, 1.0, False),
]
ENDS = [
    ('val_end', {}, 'val', 3, 12, True),
    ('val_end_alone', {}, 'val', 0, None, False),
    ('val_end_iter', dict(by_epoch=False), 'val', 3, 12, True),
    ('val_end_hierarchy', dict(log_with_hierarchy=True), 'val', 3, 12, True),
    ('test_end', {}, 'test', 3, 12, False),
]


def told(phase):
    """What is told, in this order: 12 iterations that the C test computes alike."""
    for i in range(12):
        if phase == 'train':
            yield 'train/base_lr', 0.01 * (i + 1)
            yield 'train/lr', 0.001 / (i + 1)
        yield f'{phase}/data_time', 0.001 * (i % 4)
        if phase == 'train':
            yield 'train/grad_norm', 3.0 - i / 8
            yield 'train/loss', 1.5 / (i + 1)
            yield 'train/acc', i * 7.25
        yield f'{phase}/time', 0.1 + 0.01 * (i % 3)
    if phase != 'train':
        yield f'{phase}/coco/AP', 0.5
        yield f'{phase}/loss_cls', 0.25
        yield f'{phase}/accuracy/top1', 97.0 / 3


def runner_of(name, epoch, iteration, max_epochs, max_iters, length, loop, eta, phases):
    hub = MessageHub.get_instance(name)
    for phase in phases:
        for key, value in told(phase):
            hub.update_scalar(key, float(value))
    if eta is not None:
        hub.update_info('eta', eta)
    data = types.SimpleNamespace(dataloader=range(length))
    return types.SimpleNamespace(
        message_hub=hub, epoch=epoch, iter=iteration, max_epochs=max_epochs, max_iters=max_iters, model=None,
        _train_loop=object() if loop else None, train_loop=data, val_loop=data, test_loop=data,
        train_dataloader=range(length), val_dataloader=range(length), test_dataloader=range(length))


def dataloader_size(self, runner, mode):
    return len(runner.train_dataloader)


LogProcessor._get_dataloader_size = dataloader_size
LogProcessor._get_max_memory = lambda self, runner: MEMORY


def text(tag):
    return ' '.join(f'{key}={value:.9g}' for key, value in tag.items())


def c(x):
    return '"' + str(x).replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


print('/* Written by log_lines.py with MMEngine: {name, line, tags}. */')
for name, options, phase, epoch, iteration, max_epochs, max_iters, length, batch, eta, loop in CASES:
    runner = runner_of(name, epoch, iteration, max_epochs, max_iters, length, loop, eta, ['val', 'train', 'test'])
    tag, line = LogProcessor(**options).get_log_after_iter(runner, batch, phase)
    print(f'{{{c(name)},\n {c(line)},\n {c(text(tag))}}},')
for name, options, phase, epoch, max_epochs, loop in ENDS:
    runner = runner_of(name, epoch, 0, max_epochs, 0, 12, loop, None, ['train', 'test', 'val'])
    # The reference's window of an epoch holds one batch more than the epoch has; 11 makes it 12, which is all there are.
    tag, line = LogProcessor(**options).get_log_after_epoch(runner, 11, phase)
    print(f'{{{c(name)},\n {c(line)},\n {c(text(tag))}}},')
