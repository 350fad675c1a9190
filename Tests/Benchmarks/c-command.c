// Measures how long a command's reply takes: sends commands one after the other, each when the last one is answered.
//
// Usage: c-command BOOTSTRAP COMMANDS REPLIES NUMBER
// Prints for each command the microseconds from its handing over to librdkafka to the reply's. What the first commands
// take, with the connections being made, is not counted. Exits with 1 when a reply does not come or is not `done`.
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { uncounted = 20 };

static rd_kafka_t *producer, *consumer;
static rd_kafka_topic_t *commands;

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static rd_kafka_t *start(rd_kafka_type_t type, const char *bootstrap) {
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, reason, sizeof reason);
    rd_kafka_conf_set(conf, "socket.nagle.disable", "true", reason, sizeof reason);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set(conf, "linger.ms", "0", reason, sizeof reason);
    } else {
        rd_kafka_conf_set(conf, "group.id", "c-command", reason, sizeof reason);
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", reason, sizeof reason);
        // The embedded broker lets a fetch wait to its end, whatever comes meanwhile.
        rd_kafka_conf_set(conf, "fetch.wait.max.ms", "1", reason, sizeof reason);
    }
    rd_kafka_t *kafka = rd_kafka_new(type, conf, reason, sizeof reason);
    if (kafka == NULL) {
        fprintf(stderr, "%s\n", reason);
        exit(69);
    }
    return kafka;
}

// Sends one command and waits for its reply. Returns the seconds between, 0 without a reply, or -1 when it is not `done`.
static double exchange(long number, double limit) {
    char id[64], command[256], expected[96], text[1024];
    int id_length = snprintf(id, sizeof id, "c-%d-%ld", (int)getpid(), number);
    int length = snprintf(command, sizeof command, "{\"id\":\"%s\",\"actuator\":\"line\",\"value\":%ld}", id, number % 2);
    snprintf(expected, sizeof expected, "\"id\":\"%s\"", id);
    double begin = seconds();
    rd_kafka_producev(producer, RD_KAFKA_V_RKT(commands), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_KEY(id, (size_t)id_length), RD_KAFKA_V_VALUE(command, (size_t)length), RD_KAFKA_V_END);
    for (;;) {
        double left = begin + limit - seconds();
        if (left <= 0) return 0;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, (int)(left * 1000) + 1);
        double end = seconds();
        rd_kafka_poll(producer, 0);
        if (message == NULL) continue;
        int is_it = 0, is_done = 0;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->len < sizeof text) {
            memcpy(text, message->payload, message->len);
            text[message->len] = '\0';
            is_it = strstr(text, expected) != NULL;
            is_done = strstr(text, "\"status\":\"done\"") != NULL;
            if (is_it && !is_done) fprintf(stderr, "%s\n", text);
        }
        rd_kafka_message_destroy(message);
        if (is_it) return is_done ? end - begin : -1;
    }
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: c-command BOOTSTRAP COMMANDS REPLIES NUMBER\n");
        return 64;
    }
    producer = start(RD_KAFKA_PRODUCER, arguments[1]);
    consumer = start(RD_KAFKA_CONSUMER, arguments[1]);
    rd_kafka_poll_set_consumer(consumer);
    commands = rd_kafka_topic_new(producer, arguments[2], NULL);
    // The topic of replies has one partition.
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, arguments[3], 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);

    // What is sent before the other side listens is never answered.
    long number = 0;
    double began = seconds(), time = 0;
    while (time == 0 && seconds() - began < 40) time = exchange(number++, 3);
    if (time <= 0) {
        fprintf(stderr, "no reply\n");
        return 1;
    }
    long wanted = atol(arguments[4]), left = wanted + uncounted;
    for (; left > 0; left--) {
        time = exchange(number++, 20);
        if (time <= 0) {
            fprintf(stderr, "no reply\n");
            return 1;
        }
        if (left <= wanted) printf("%.0f\n", time * 1e6);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_flush(producer, 1000);
    rd_kafka_topic_destroy(commands);
    rd_kafka_destroy(producer);
    return 0;
}
