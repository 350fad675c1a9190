// What kedge is measured against: the plainest C producer over librdkafka that sends the same records.
// For each record it reads the clock, formats the JSON with snprintf and hands it over with the same key and the
// same `id` header; properties come from the command line, so both sides run with the same ones.
//
// Usage: c-loop BOOTSTRAP TOPIC SENSORS RECORDS RATE [name=value …]
//   RATE records per second, evenly spread; 0 is as fast as the queue takes them.
// Prints one line: records, seconds, CPU seconds, peak resident KiB, acknowledged, failed.
#include <librdkafka/rdkafka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static long acknowledged, failed;

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque) {
    (void)kafka;
    (void)opaque;
    if (message->err) failed++;
    else acknowledged++;
}

static double seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    if (count < 6) {
        fprintf(stderr, "usage: c-loop BOOTSTRAP TOPIC SENSORS RECORDS RATE [name=value ...]\n");
        return 64;
    }
    long sensors = atol(arguments[3]), records = atol(arguments[4]);
    double rate = atof(arguments[5]);
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", arguments[1], reason, sizeof reason);
    for (int index = 6; index < count; index++) {
        char *value = strchr(arguments[index], '=');
        if (value == NULL) return 64;
        *value++ = '\0';
        if (rd_kafka_conf_set(conf, arguments[index], value, reason, sizeof reason) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", reason);
            return 78;
        }
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (kafka == NULL) {
        fprintf(stderr, "%s\n", reason);
        return 69;
    }
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, arguments[2], NULL);
    double begin = seconds(CLOCK_MONOTONIC);
    for (long index = 0; index < records; index++) {
        char key[64], payload[256], id[64];
        int key_length = snprintf(key, sizeof key, "bench-%04ld", index % sensors);
        // The same values as kedge's sine sensors send: all digits of a double.
        double value = 20 + 5 * sin(2 * M_PI * (double)index / 1000);
        int length = snprintf(payload, sizeof payload, "{\"sensorID\":\"%s\",\"value\":%.17g,\"timestamp\":%.3f}", key,
                              value, seconds(CLOCK_REALTIME));
        int id_length = snprintf(id, sizeof id, "bench/0123456789ab/%ld", index);
        while (rd_kafka_producev(kafka, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(key, (size_t)key_length), RD_KAFKA_V_VALUE(payload, (size_t)length),
                                 RD_KAFKA_V_HEADER("id", id, (ssize_t)id_length),
                                 RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(kafka, 100);
        rd_kafka_poll(kafka, 0);
        if (rate > 0) {
            double wait = begin + (double)(index + 1) / rate - seconds(CLOCK_MONOTONIC);
            if (wait > 0) {
                struct timespec time = {(time_t)wait, (long)((wait - floor(wait)) * 1e9)};
                nanosleep(&time, NULL);
            }
        }
    }
    rd_kafka_flush(kafka, 60000);
    double end = seconds(CLOCK_MONOTONIC);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
                 (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    printf("%ld %.3f %.3f %ld %ld %ld\n", records, end - begin, cpu, usage.ru_maxrss, acknowledged, failed);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
    return failed == 0 && acknowledged == records ? 0 : 1;
}
