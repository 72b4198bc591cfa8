/* The half of images.h that knows the simulated disk. */

#include "tests/storage/images.h"

#include "base/assert.h"
#include "sim/world.h"

#include <stdlib.h>

void images_take(struct images *images, struct world *world, uint32_t node, const char *directory,
                 const struct owner *owner) {
    *images = (struct images){.owner = *owner};
    for (uint64_t number = 1; number < 1000; number++) {
        char name[FILE_NAME_BYTES];
        uint64_t length_bytes;
        segment_name(name, number);
        if (!world_file_size(world, node, directory, name, &length_bytes))
            continue;
        ASSERT(images->count < IMAGES_MAX);
        images->numbers[images->count] = number;
        images->length_bytes[images->count] = length_bytes;
        images->bytes[images->count] = malloc(length_bytes + 1);
        ASSERT(images->bytes[images->count] != NULL);
        world_file_read(world, node, directory, name, 0, images->bytes[images->count],
                        length_bytes);
        images->count++;
    }
}
