#include "registry/registry.h"

const mu_kind *mu_kinds(void)
{
    static const mu_kind kinds[] = {
        {"model", "computes losses, predictions or raw tensors from a batch"},
        {"backbone", "turns images into feature maps"},
        {"neck", "joins or rescales feature maps"},
        {"head", "turns features into scores, boxes or points, and into losses"},
        {"layer", "a building block of models: convolution, normalisation, activation, block"},
        {"loss", "compares predictions with targets"},
        {"data_preprocessor", "moves a batch to the device, normalises and pads it"},
        {"model_wrapper", "lets a model train on several ranks"},
        {"weight_init", "fills parameters before training"},
        {"dataset", "gives samples by index"},
        {"transform", "one step of a pipeline that prepares a sample"},
        {"sampler", "says which samples a rank reads, in which order"},
        {"collate", "makes a batch of samples"},
        {"optimizer", "updates parameters from gradients"},
        {"optim_wrapper", "runs an optimizer: clipping, accumulation, mixed precision"},
        {"optim_wrapper_constructor", "splits parameters into groups with options of their own"},
        {"param_scheduler", "changes learning rates and momenta over time"},
        {"averaged_model", "keeps an average of a model's parameters while it is trained"},
        {"loop", "trains, validates or tests from beginning to end"},
        {"hook", "acts at fixed points of a loop"},
        {"metric", "measures predictions"},
        {"evaluator", "runs metrics over a data set"},
        {"runner", "owns everything that a training needs"},
        {"log_processor", "turns recorded values into log lines"},
        {"visualizer", "draws and records images, scalars and graphs"},
        {"vis_backend", "stores what a visualizer records"},
        {"storage_backend", "reads and writes files: local, memory, http, key-value stores"},
        {"file_handler", "encodes and decodes one file format"},
        {"backend", "runs operations on a device"},
        {"inferencer", "applies a trained model to inputs from outside"},
        {NULL, NULL},
    };
    return kinds;
}
