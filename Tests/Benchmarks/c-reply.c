// What kedge's command path is measured against: the plainest C loop over librdkafka that takes a command, moves a line
// and answers. The line is a variable; nothing is checked, claimed or published beside the reply. Both clients get
// their properties from the command line, so both sides run with the same ones, and a reply is hurried past
// linger.ms as kedge hurries it (Sources/Agent/ReplyPath.swift).
//
// Usage: c-reply BOOTSTRAP COMMANDS REPLIES RATE TOPIC [producer|consumer|both:name=value …]
//   RATE records a second go to TOPIC meanwhile, through the same producer, from a thread of their own; 0 is none.
// Runs until SIGTERM.
#include <librdkafka/rdkafka.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stopped;
static rd_kafka_t *producer;
static rd_kafka_topic_t *records;
static double rate;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static double seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// As c-loop.c does it, with as many sensors as kedge has: each at 10 Hz.
static void *send_records(void *unused) {
    (void)unused;
    double begin = seconds(CLOCK_MONOTONIC);
    long sensors = (long)(rate / 10);
    for (long index = 0; !stopped; index++) {
        char key[64], payload[256], id[64];
        int key_length = snprintf(key, sizeof key, "bench-%04ld", index % (sensors > 0 ? sensors : 1));
        int length = snprintf(payload, sizeof payload, "{\"sensorID\":\"%s\",\"value\":%.17g,\"timestamp\":%.3f}", key,
                              20 + 5 * sin(2 * M_PI * (double)index / 1000), seconds(CLOCK_REALTIME));
        int id_length = snprintf(id, sizeof id, "bench/0123456789ab/%ld", index);
        rd_kafka_producev(producer, RD_KAFKA_V_RKT(records), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(key, (size_t)key_length), RD_KAFKA_V_VALUE(payload, (size_t)length),
                          RD_KAFKA_V_HEADER("id", id, (ssize_t)id_length), RD_KAFKA_V_END);
        double wait = begin + (double)(index + 1) / rate - seconds(CLOCK_MONOTONIC);
        if (wait > 0) {
            struct timespec time = {(time_t)wait, (long)((wait - floor(wait)) * 1e9)};
            nanosleep(&time, NULL);
        }
    }
    return NULL;
}

static rd_kafka_t *start(rd_kafka_type_t type, const char *bootstrap, int count, char **properties) {
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *own = type == RD_KAFKA_PRODUCER ? "producer:" : "consumer:";
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, reason, sizeof reason);
    if (type == RD_KAFKA_CONSUMER) {
        rd_kafka_conf_set(conf, "group.id", "c-reply", reason, sizeof reason);
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", reason, sizeof reason);
        rd_kafka_conf_set(conf, "enable.auto.offset.store", "false", reason, sizeof reason);
    }
    for (int index = 0; index < count; index++) {
        char name[256];
        const char *text = properties[index];
        if (strncmp(text, own, 9) == 0) text += 9;
        else if (strncmp(text, "both:", 5) == 0) text += 5;
        else continue;
        const char *value = strchr(text, '=');
        if (value == NULL || (size_t)(value - text) >= sizeof name) exit(64);
        memcpy(name, text, (size_t)(value - text));
        name[value - text] = '\0';
        if (rd_kafka_conf_set(conf, name, value + 1, reason, sizeof reason) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", reason);
            exit(78);
        }
    }
    rd_kafka_t *kafka = rd_kafka_new(type, conf, reason, sizeof reason);
    if (kafka == NULL) {
        fprintf(stderr, "%s\n", reason);
        exit(69);
    }
    return kafka;
}

// Moves the line and answers. Commands come from c-command.c: their shape is known.
static void answer(rd_kafka_topic_t *replies, const rd_kafka_message_t *message) {
    static volatile int line;
    char text[512], id[64], reply[512];
    int value = 0;
    if (message->len >= sizeof text) return;
    memcpy(text, message->payload, message->len);
    text[message->len] = '\0';
    const char *start = strstr(text, "\"id\":\""), *number = strstr(text, "\"value\":");
    if (start == NULL || number == NULL || sscanf(start + 6, "%63[^\"]", id) != 1 ||
        sscanf(number + 8, "%d", &value) != 1)
        return;
    line = value;
    int length = snprintf(reply, sizeof reply,
                          "{\"id\":\"%s\",\"node\":\"bench\",\"actuator\":\"line\",\"status\":\"done\",\"value\":%d,"
                          "\"timestamp\":%.3f}",
                          id, line, seconds(CLOCK_REALTIME));
    rd_kafka_producev(producer, RD_KAFKA_V_RKT(replies), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_KEY(id, strlen(id)), RD_KAFKA_V_VALUE(reply, (size_t)length), RD_KAFKA_V_END);
}

int main(int count, char **arguments) {
    if (count < 6) {
        fprintf(stderr, "usage: c-reply BOOTSTRAP COMMANDS REPLIES RATE TOPIC [producer|consumer|both:name=value ...]\n");
        return 64;
    }
    signal(SIGTERM, stop);
    rate = atof(arguments[4]);
    producer = start(RD_KAFKA_PRODUCER, arguments[1], count - 6, arguments + 6);
    rd_kafka_t *consumer = start(RD_KAFKA_CONSUMER, arguments[1], count - 6, arguments + 6);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_t *replies = rd_kafka_topic_new(producer, arguments[3], NULL);
    records = rd_kafka_topic_new(producer, arguments[5], NULL);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, arguments[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    pthread_t thread;
    if (rate > 0 && pthread_create(&thread, NULL, send_records, NULL) != 0) return 71;

    // When the reply is hurried again (0: not at all), and the wait after that: 4, 8, 16 … ms, as kedge does.
    double hasten_at = 0;
    int again = 0;
    while (!stopped) {
        double wait = hasten_at > 0 ? (hasten_at - seconds(CLOCK_MONOTONIC)) * 1000 : 200;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, wait > 0 ? (int)ceil(wait) : 0);
        if (message != NULL) {
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                answer(replies, message);
                rd_kafka_commit_message(consumer, message, 1);
                hasten_at = seconds(CLOCK_MONOTONIC);
                again = 4;
            }
            rd_kafka_message_destroy(message);
        }
        if (hasten_at > 0 && seconds(CLOCK_MONOTONIC) >= hasten_at) {
            // With records of telemetry on their way this is never 0: as in kedge, hastening then ends by itself.
            if (rd_kafka_outq_len(producer) == 0) {
                hasten_at = 0;
            } else {
                rd_kafka_flush(producer, 1);
                hasten_at = again < 200 ? seconds(CLOCK_MONOTONIC) + again / 1000.0 : 0;
                again *= 2;
            }
        }
        rd_kafka_poll(producer, 0);
    }
    if (rate > 0) pthread_join(thread, NULL);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_flush(producer, 5000);
    rd_kafka_topic_destroy(replies);
    rd_kafka_topic_destroy(records);
    rd_kafka_destroy(producer);
    return 0;
}
