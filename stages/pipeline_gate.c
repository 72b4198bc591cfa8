/*
 * The gate before the first round: cores arrive when their shards have started, one thread judges,
 * all pass together.  So nobody is served by half a pipeline.
 */

#include "base/assert.h"
#include "stages/pipeline_internal.h"

bool pipeline_gate_pass(struct pipeline *pipeline) {
    pthread_mutex_lock(&pipeline->gate_lock);
    pipeline->gate_arrived++;
    pthread_cond_broadcast(&pipeline->gate_changed);
    while (pipeline->gate == GATE_CLOSED) {
        pthread_cond_wait(&pipeline->gate_changed, &pipeline->gate_lock);
    }
    bool run = pipeline->gate == GATE_RUN;
    pthread_mutex_unlock(&pipeline->gate_lock);
    return run;
}

int pipeline_gate_wait(struct pipeline *pipeline, uint32_t count, struct error_text *error) {
    int result = WEIR_OK;
    pthread_mutex_lock(&pipeline->gate_lock);
    while (pipeline->gate_arrived < count) {
        pthread_cond_wait(&pipeline->gate_changed, &pipeline->gate_lock);
    }
    for (uint32_t i = 0; i < count && result == WEIR_OK; i++) {
        result = pipeline->cores[i].start_error;
        if (result != WEIR_OK) {
            *error = pipeline->cores[i].start_text;
        }
    }
    pthread_mutex_unlock(&pipeline->gate_lock);
    return result;
}

void pipeline_gate_open(struct pipeline *pipeline, enum pipeline_gate verdict) {
    ASSERT(verdict != GATE_CLOSED);
    pthread_mutex_lock(&pipeline->gate_lock);
    ASSERT(pipeline->gate == GATE_CLOSED);
    pipeline->gate = verdict;
    pthread_cond_broadcast(&pipeline->gate_changed);
    pthread_mutex_unlock(&pipeline->gate_lock);
}
