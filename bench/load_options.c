/*
 * One table holds every option: its name, what its value is called, its help, and the function
 * that reads it. Parsing and --help walk the same table. What fails is said with the option's name.
 */
#include "bench/load_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "bench/load_history.h"
#include "bench/request_mix.h"
#include "bench/schedule.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* A week; a longer run is a mistake in the unit. */
#define DURATION_MAX_NS (UINT64_C(7) * 24 * 3600 * NS_PER_S)

/* 64 MiB; larger values are no load test. */
#define VALUE_BYTES_MAX (UINT32_C(64) << 20)

/* The option whose value is being read, for the sentences. */
struct reading {
    const char *option;
    const char *value;
    struct error_text *error;
};

/* Digits, perhaps followed by k (thousand), m (million) or g (thousand million). */
static int read_number(const struct reading *reading, uint64_t minimum, uint64_t maximum,
                       uint64_t *out) {
    size_t length = strlen(reading->value);
    uint64_t factor = 1;
    if (length > 1) {
        switch (reading->value[length - 1]) {
        case 'k': factor = 1000; break;
        case 'm': factor = 1000 * 1000; break;
        case 'g': factor = 1000 * 1000 * 1000; break;
        default: break;
        }
    }
    uint64_t number = 0;
    int status = decimal_parse_u64(reading->value, factor > 1 ? length - 1 : length, &number);
    if (status != 0 || number > maximum / factor || number * factor < minimum) {
        error_text_set(reading->error,
                       "%s '%s' is not a number from %llu to %llu (k, m and g may follow it)",
                       reading->option, reading->value, (unsigned long long)minimum,
                       (unsigned long long)maximum);
        return WEIR_EINVAL;
    }
    *out = number * factor;
    return 0;
}

static int read_number_u32(const struct reading *reading, uint32_t minimum, uint32_t maximum,
                           uint32_t *out) {
    uint64_t number = 0;
    int status = read_number(reading, minimum, maximum, &number);
    if (status == 0)
        *out = (uint32_t)number;
    return status;
}

/* Digits followed by us, ms, s, m, or nothing for seconds. */
static int read_time(const struct reading *reading, uint64_t minimum_ns, uint64_t *out) {
    size_t digits = strspn(reading->value, "0123456789");
    const char *unit = reading->value + digits;
    uint64_t unit_ns = 0;
    if (strcmp(unit, "us") == 0)
        unit_ns = NS_PER_US;
    else if (strcmp(unit, "ms") == 0)
        unit_ns = NS_PER_MS;
    else if (strcmp(unit, "s") == 0 || *unit == 0)
        unit_ns = NS_PER_S;
    else if (strcmp(unit, "m") == 0)
        unit_ns = 60 * NS_PER_S;
    uint64_t number = 0;
    if (unit_ns == 0 || decimal_parse_u64(reading->value, digits, &number) != 0 ||
        number > DURATION_MAX_NS / unit_ns || number * unit_ns < minimum_ns) {
        error_text_set(reading->error,
                       "%s '%s' is no time: write e.g. 10s, 500ms or 2m (at most a week)",
                       reading->option, reading->value);
        return WEIR_EINVAL;
    }
    *out = number * unit_ns;
    return 0;
}

static int read_port(const struct reading *reading, const char *text,
                     struct load_options *options) {
    uint64_t port = 0;
    if (decimal_parse_u64(text, strlen(text), &port) != 0 || port < 1 || port > 65535) {
        error_text_set(reading->error, "%s '%s' has no port from 1 to 65535", reading->option,
                       reading->value);
        return WEIR_EINVAL;
    }
    snprintf(options->port, sizeof options->port, "%s", text);
    return 0;
}

static int set_host(struct load_options *options, const struct reading *reading) {
    options->host = reading->value;
    options->servers = NULL;
    return 0;
}

static int set_port(struct load_options *options, const struct reading *reading) {
    options->servers = NULL;
    return read_port(reading, reading->value, options);
}

/* HOST:PORT,...; the first host's span is copied, since argv cannot be cut. */
static int set_server(struct load_options *options, const struct reading *reading) {
    static char first[LOAD_TARGET_HOST_BYTES];
    uint32_t count = 0;
    for (const char *at = reading->value;; count++) {
        char host[LOAD_TARGET_HOST_BYTES];
        char port[LOAD_TARGET_PORT_BYTES];
        const size_t length = strcspn(at, ",");
        if (load_target_parse(at, length, host, port) != 0 || count == LOAD_OPTIONS_SERVERS_MAX) {
            error_text_set(reading->error,
                           "%s '%s' is not HOST:PORT, e.g. 127.0.0.1:7379, or up to %d of them "
                           "with commas between them",
                           reading->option, reading->value, LOAD_OPTIONS_SERVERS_MAX);
            return WEIR_EINVAL;
        }
        if (count == 0) {
            memcpy(first, host, sizeof first);
            memcpy(options->port, port, sizeof options->port);
        }
        if (at[length] == 0)
            break;
        at += length + 1;
    }
    options->host = first;
    options->servers = reading->value;
    return 0;
}

static int set_password(struct load_options *options, const struct reading *reading) {
    if (strlen(reading->value) > 256) {
        error_text_set(reading->error, "%s is longer than 256 bytes", reading->option);
        return WEIR_EINVAL;
    }
    options->password = reading->value;
    return 0;
}

static int set_connections(struct load_options *options, const struct reading *reading) {
    return read_number_u32(reading, 1, LOAD_OPTIONS_CONNECTIONS_MAX, &options->connections);
}

static int set_depth(struct load_options *options, const struct reading *reading) {
    return read_number_u32(reading, 1, LOAD_OPTIONS_DEPTH_MAX, &options->depth);
}

static int set_threads(struct load_options *options, const struct reading *reading) {
    return read_number_u32(reading, 1, LOAD_OPTIONS_THREADS_MAX, &options->threads);
}

static int set_keys(struct load_options *options, const struct reading *reading) {
    return read_number(reading, 1, KEY_PICKER_KEYS_MAX, &options->keys);
}

static int set_value_size(struct load_options *options, const struct reading *reading) {
    return read_number_u32(reading, 0, VALUE_BYTES_MAX, &options->value_bytes);
}

static int set_mix(struct load_options *options, const struct reading *reading) {
    options->mix = reading->value;
    return 0;
}

static int set_command(struct load_options *options, const struct reading *reading) {
    if (options->command_count == LOAD_OPTIONS_COMMANDS_MAX) {
        error_text_set(reading->error, "%s was given more than %d times: remove some",
                       reading->option, LOAD_OPTIONS_COMMANDS_MAX);
        return WEIR_EINVAL;
    }
    options->commands[options->command_count++] = reading->value;
    return 0;
}

static int set_distribution(struct load_options *options, const struct reading *reading) {
    if (strcmp(reading->value, "uniform") == 0) {
        options->distribution = KEY_UNIFORM;
        return 0;
    }
    if (strcmp(reading->value, "sequential") == 0) {
        options->distribution = KEY_SEQUENTIAL;
        return 0;
    }
    if (strncmp(reading->value, "zipf:", 5) == 0) {
        char *end = NULL;
        double theta = strtod(reading->value + 5, &end);
        if (end != reading->value + 5 && *end == 0 && theta > 0 && theta < 1) {
            options->distribution = KEY_ZIPF;
            options->zipf_theta = theta;
            return 0;
        }
    }
    error_text_set(reading->error,
                   "%s '%s' is unknown: use uniform, sequential, or zipf:T with 0 < T < 1",
                   reading->option, reading->value);
    return WEIR_EINVAL;
}

static int set_duration(struct load_options *options, const struct reading *reading) {
    return read_time(reading, NS_PER_MS, &options->duration_ns);
}

static int set_operations(struct load_options *options, const struct reading *reading) {
    return read_number(reading, 1, UINT64_MAX / 2, &options->operations);
}

static int set_warmup(struct load_options *options, const struct reading *reading) {
    return read_time(reading, 0, &options->warmup_ns);
}

static int set_rate(struct load_options *options, const struct reading *reading) {
    return read_number(reading, 1, SCHEDULE_RATE_MAX_PER_SECOND, &options->rate_per_second);
}

/* PERCENTILE=TIME, e.g. p99=2ms. */
static int set_slo(struct load_options *options, const struct reading *reading) {
    const char *time = load_slo_parse_percentile(reading->value, &options->slo);
    if (time == NULL) {
        error_text_set(reading->error,
                       "%s '%s' is not p50, p90, p99 or p99.9, and a time: write e.g. p99=2ms",
                       reading->option, reading->value);
        return WEIR_EINVAL;
    }
    const struct reading of_time = {
        .option = reading->option, .value = time, .error = reading->error};
    return read_time(&of_time, 1, &options->slo.bound_ns);
}

static int set_resp(struct load_options *options, const struct reading *reading) {
    return read_number_u32(reading, 2, 3, &options->resp);
}

static int set_seed(struct load_options *options, const struct reading *reading) {
    return read_number(reading, 0, UINT64_MAX, &options->seed);
}

static int set_timeout(struct load_options *options, const struct reading *reading) {
    return read_time(reading, 0, &options->timeout_ns);
}

static int set_gap(struct load_options *options, const struct reading *reading) {
    return read_time(reading, NS_PER_MS, &options->gap_ns);
}

static int set_history(struct load_options *options, const struct reading *reading) {
    options->history = reading->value;
    return 0;
}

static int set_history_operations(struct load_options *options, const struct reading *reading) {
    return read_number(reading, 1, LOAD_HISTORY_OPERATIONS_MAX, &options->history_operations);
}

static int set_read_back(struct load_options *options, const struct reading *reading) {
    (void)reading;
    options->read_back = true;
    return 0;
}

static int set_json(struct load_options *options, const struct reading *reading) {
    (void)reading;
    options->json = true;
    return 0;
}

static int set_help(struct load_options *options, const struct reading *reading) {
    (void)reading;
    options->help = true;
    return 0;
}

static const struct load_option {
    const char *name;
    const char *value_name; /* NULL: the option stands alone */
    const char *help;
    int (*set)(struct load_options *, const struct reading *);
} OPTIONS[] = {
    {"--server", "HOST:PORT,...", "the server, or the nodes of one cluster (127.0.0.1:7379)",
     set_server},
    {"--host", "HOST", "its host alone", set_host},
    {"--port", "PORT", "its port alone", set_port},
    {"--password", "TEXT", "authenticate each connection with it", set_password},
    {"--resp", "2|3", "protocol version (default 2)", set_resp},
    {"--connections", "N", "connections (default 50)", set_connections},
    {"--depth", "N", "requests in flight per connection (default 1; with --rate, --slo 64)",
     set_depth},
    {"--threads", "N", "client threads (default 1)", set_threads},
    {"--mix", "NAME:W,...", "commands with weights, e.g. set:50,get:50 (default set)", set_mix},
    {"--command", "TEXT", "a command instead, e.g. 'SET key:__rand__ __data__'; may be repeated",
     set_command},
    {"--keys", "N", "number of keys (default 100000)", set_keys},
    {"--distribution", "NAME", "uniform (default), sequential, or zipf:0.99", set_distribution},
    {"--value-size", "BYTES", "size of __data__ (default 64)", set_value_size},
    {"--duration", "TIME", "measured time, e.g. 10s, 500ms, 2m (default 10s; with --slo 2s)",
     set_duration},
    {"--operations", "N", "measure this many operations instead", set_operations},
    {"--warmup", "TIME", "run this long first, without measuring (default 0s)", set_warmup},
    {"--rate", "N", "open loop: N requests a second on a schedule; latency counts from there",
     set_rate},
    {"--slo", "PERCENTILE=TIME", "search for the highest rate that is held with it, e.g. p99=2ms",
     set_slo},
    {"--seed", "N", "seed of keys and mix (default 1)", set_seed},
    {"--timeout", "TIME", "with several nodes: leave one that is silent so long (default 1s)",
     set_timeout},
    {"--gap", "TIME", "list gaps of this length, beside the longest one (default 100ms)", set_gap},
    {"--history", "FILE", "record every operation, for weir check-history", set_history},
    {"--history-operations", "N", "end the run when so many are recorded (default 1000000)",
     set_history_operations},
    {"--read-back", NULL, "read every key after the run", set_read_back},
    {"--json", NULL, "print the result as one JSON object", set_json},
    {"--help", NULL, "this text", set_help},
};

static const struct load_option *find_option(const char *argument, size_t name_bytes) {
    for (size_t i = 0; i < ARRAY_COUNT(OPTIONS); i++) {
        if (strlen(OPTIONS[i].name) == name_bytes &&
            memcmp(OPTIONS[i].name, argument, name_bytes) == 0)
            return &OPTIONS[i];
    }
    return NULL;
}

/* Reads the option at argv[*index] with its value, and moves *index to the last argument used. */
static int parse_option(struct load_options *options, int argc, char **argv, int *index,
                        struct error_text *error) {
    const char *argument = strcmp(argv[*index], "-h") == 0 ? "--help" : argv[*index];
    size_t name_bytes = strcspn(argument, "=");
    const struct load_option *option = find_option(argument, name_bytes);
    if (!option) {
        error_text_set(error, "'%s' is no option of bench: see --help", argument);
        return WEIR_EINVAL;
    }
    struct reading reading = {.option = option->name, .error = error};
    if (argument[name_bytes] == '=')
        reading.value = argument + name_bytes + 1;
    else if (option->value_name && *index + 1 < argc)
        reading.value = argv[++*index];
    if (option->value_name && !reading.value) {
        error_text_set(error, "%s needs a value: %s %s", option->name, option->name,
                       option->value_name);
        return WEIR_EINVAL;
    }
    if (!option->value_name && reading.value) {
        error_text_set(error, "%s takes no value: write it alone", option->name);
        return WEIR_EINVAL;
    }
    return option->set(options, &reading);
}

/* Refuses what --slo decides itself, or what belongs to one run. */
static int check_slo(const struct load_options *options, struct error_text *error) {
    const struct {
        const char *name;
        bool is_given;
    } others[] = {{"--rate", options->rate_per_second > 0},
                  {"--operations", options->operations > 0},
                  {"--history", options->history != NULL},
                  {"--read-back", options->read_back}};
    for (size_t i = 0; options->slo.percentile != NULL && i < ARRAY_COUNT(others); i++) {
        if (!others[i].is_given)
            continue;
        error_text_set(error,
                       "--slo and %s exclude each other: --slo tries many rates, each for "
                       "--duration",
                       others[i].name);
        return WEIR_EINVAL;
    }
    return 0;
}

/* Fills in what depends on other options, and refuses what contradicts itself. */
static int complete(struct load_options *options, struct error_text *error) {
    if (options->mix && options->command_count > 0) {
        error_text_set(error, "--mix and --command exclude each other: give one of them");
        return WEIR_EINVAL;
    }
    if (check_slo(options, error) != 0)
        return WEIR_EINVAL;
    if (options->duration_ns > 0 && options->operations > 0) {
        error_text_set(error, "--duration and --operations exclude each other: give one of them");
        return WEIR_EINVAL;
    }
    if (options->threads > options->connections) {
        error_text_set(error, "--threads %u is more than --connections %u: each thread needs one",
                       options->threads, options->connections);
        return WEIR_EINVAL;
    }
    if (options->history && options->value_bytes < LOAD_HISTORY_UNIQUE_BYTES) {
        error_text_set(error,
                       "--history needs values that are unique: give --value-size of %d or more",
                       LOAD_HISTORY_UNIQUE_BYTES);
        return WEIR_EINVAL;
    }
    if (!options->mix && options->command_count == 0)
        options->mix = "set";
    if (options->duration_ns == 0 && options->operations == 0)
        options->duration_ns = (options->slo.percentile != NULL ? 2 : 10) * NS_PER_S;
    if (options->rate_per_second > 0 && options->operations > 0) {
        /*
         * The schedule says when the last arrival is due. Rounding down excludes the one after it.
         */
        uint64_t seconds = options->operations / options->rate_per_second;
        uint64_t rest = options->operations % options->rate_per_second;
        if (seconds > DURATION_MAX_NS / NS_PER_S) {
            error_text_set(error, "--operations at this --rate take longer than a week");
            return WEIR_EINVAL;
        }
        options->duration_ns = seconds * NS_PER_S + rest * NS_PER_S / options->rate_per_second;
        options->operations = 0;
    }
    if (options->depth == 0)
        options->depth = options->rate_per_second > 0 || options->slo.percentile != NULL
                             ? LOAD_OPTIONS_DEPTH_OPEN
                             : LOAD_OPTIONS_DEPTH_CLOSED;
    return 0;
}

int load_options_parse(struct load_options *options, int argc, char **argv,
                       struct error_text *error) {
    *options = (struct load_options){
        .host = "127.0.0.1",
        .port = "7379",
        .connections = 50,
        .threads = 1,
        .value_bytes = 64,
        .keys = 100000,
        .seed = 1,
        .resp = 2,
        .timeout_ns = NS_PER_S,
        .gap_ns = 100 * NS_PER_MS,
        .history_operations = LOAD_HISTORY_OPERATIONS_DEFAULT,
    };
    for (int i = 1; i < argc; i++) {
        int status = parse_option(options, argc, argv, &i, error);
        if (status != 0)
            return status;
    }
    return options->help ? 0 : complete(options, error);
}

void load_options_print_help(FILE *out, const char *name) {
    fprintf(
        out,
        "usage: %s [options]\n\n"
        "Puts load on a server that speaks RESP and reports throughput and latency. With several\n"
        "nodes of a cluster (given, or named by the one given) it follows the leader, and reports\n"
        "how long nobody was served.\n\n"
        "With --slo it searches for the knee: the highest rate at which 98 in 100 of what is due\n"
        "are answered, nothing fails, and the percentile is at most the time. It doubles the rate\n"
        "from 1000 a second, then halves the gap until that is below a sixteenth; a rate that\n"
        "fails is tried once more. Behind it, half of the knee is measured for five times\n"
        "--duration.\n\n",
        name);
    for (size_t i = 0; i < ARRAY_COUNT(OPTIONS); i++) {
        const struct load_option *option = &OPTIONS[i];
        const char *value_name = option->value_name ? option->value_name : "";
        int gap = 29 - (int)strlen(option->name) - (int)strlen(value_name);
        ASSERT(gap > 0);
        fprintf(out, "  %s %s%*s%s\n", option->name, value_name, gap, "", option->help);
    }
    fprintf(
        out,
        "\nNames for --mix: %s\n"
        "\nExit status: 0 when all went well, 1 when the server could not be reached, requests\n"
        "failed, the asked rate was not held, or --slo found no knee, 2 on wrong usage.\n",
        request_mix_names());
}
