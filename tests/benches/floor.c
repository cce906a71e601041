/* The floor of "accepted and synced": the least that an SMTP server can do and keep its word.
 *
 * Two threads talk to clients. Each has its own listening socket (SO_REUSEPORT) and its own epoll,
 * looks at the first letter of a command, and appends the content to a file that was written once
 * before, so that a sync has no new extents to bring to the disk. A third thread syncs: the 250 of
 * a message comes after an fdatasync that began after its content was written, and one sync serves
 * all who wait for it. There is no policy, no queue, no delivery, and no bound on what a client
 * sends: it is for the bench's own client only.
 *
 * usage: floor ADDRESS PORT FILE
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 2
/* More connections than any load has. */
#define CONNECTIONS 65536
/* The file is written over from its beginning when it is full. */
#define FILE_SIZE (1ll << 28)

struct connection {
    struct worker *worker;
    int in_data;
    char line[1024];
    size_t line_length;
    char *content;
    size_t length, capacity;
};

struct list {
    int connections[CONNECTIONS];
    int count;
};

/* One thread that talks to clients: those of its clients who wait for a sync, and those whose sync
 * is done, for it to answer. `bell` wakes it. */
struct worker {
    int listener, poll, bell;
    struct list waiting, synced;
};

static struct connection *connections[CONNECTIONS];
static struct worker workers[THREADS];
/* Guards all lists, and the number of those who wait. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t somebody_waits = PTHREAD_COND_INITIALIZER;
static int waiting;
static int file;
static long long written;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(int connection, const char *reply)
{
    /* A client that has gone doesn't hear it. */
    ssize_t sent = send(connection, reply, strlen(reply), MSG_NOSIGNAL);
    (void)sent;
}

/* Moves all of a list to the end of another, under the lock. */
static void move(struct list *from, struct list *to)
{
    memcpy(to->connections + to->count, from->connections, from->count * sizeof(int));
    to->count += from->count;
    from->count = 0;
}

static void *sync_file(void *unused)
{
    static struct list syncing[THREADS];
    uint64_t one = 1;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (waiting == 0)
            pthread_cond_wait(&somebody_waits, &lock);
        for (int number = 0; number < THREADS; number++)
            move(&workers[number].waiting, &syncing[number]);
        waiting = 0;
        pthread_mutex_unlock(&lock);
        if (fdatasync(file))
            fail("fdatasync");
        for (int number = 0; number < THREADS; number++) {
            if (syncing[number].count == 0)
                continue;
            pthread_mutex_lock(&lock);
            move(&syncing[number], &workers[number].synced);
            pthread_mutex_unlock(&lock);
            if (write(workers[number].bell, &one, sizeof one) < 0)
                fail("bell");
        }
    }
    return unused;
}

/* The content is there: written, and on the list of those who wait for a sync. */
static void store(int number, struct connection *of)
{
    struct list *list = &of->worker->waiting;
    long long length = (long long)of->length;
    long long at = __atomic_fetch_add(&written, length, __ATOMIC_RELAXED);
    if (pwrite(file, of->content, of->length, at % (FILE_SIZE - (1 << 20))) < 0)
        fail("write");
    of->length = 0;
    pthread_mutex_lock(&lock);
    list->connections[list->count++] = number;
    if (++waiting == 1)
        pthread_cond_signal(&somebody_waits);
    pthread_mutex_unlock(&lock);
}

/* Whether the client said goodbye. */
static int obey(int number, struct connection *of)
{
    switch (of->line[0] & ~32) {
    case 'D':
        of->in_data = 1;
        say(number, "354 End data with <CR><LF>.<CR><LF>\r\n");
        return 0;
    case 'Q':
        say(number, "221 2.0.0 Bye\r\n");
        return 1;
    default:
        say(number, "250 2.0.0 Ok\r\n");
        return 0;
    }
}

/* What came. Whether the connection is over. */
static int hear(int number, struct connection *of, const char *octets, size_t count)
{
    while (count > 0 && !of->in_data) {
        const char *end = memchr(octets, '\n', count);
        size_t part = end ? (size_t)(end - octets + 1) : count;
        if (of->line_length + part > sizeof of->line)
            return 1;
        memcpy(of->line + of->line_length, octets, part);
        of->line_length += part;
        octets += part;
        count -= part;
        if (end) {
            of->line_length = 0;
            if (obey(number, of))
                return 1;
        }
    }
    if (count == 0)
        return 0;
    if (of->length + count > of->capacity) {
        of->capacity = 2 * (of->length + count);
        of->content = realloc(of->content, of->capacity);
        if (!of->content)
            fail("memory");
    }
    memcpy(of->content + of->length, octets, count);
    of->length += count;
    /* The bench's client sends nothing after its end of data before it has the answer. */
    if (of->length >= 5 && !memcmp(of->content + of->length - 5, "\r\n.\r\n", 5)) {
        of->in_data = 0;
        store(number, of);
    }
    return 0;
}

static void watch(struct worker *worker, int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(worker->poll, EPOLL_CTL_ADD, descriptor, &event))
        fail("epoll");
}

static void welcome(struct worker *worker)
{
    int number, one = 1;
    while ((number = accept4(worker->listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        if (number >= CONNECTIONS)
            fail("too many connections");
        setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *of = connections[number];
        if (!of)
            connections[number] = of = calloc(1, sizeof *of);
        if (!of)
            fail("memory");
        of->worker = worker;
        of->in_data = 0;
        of->line_length = of->length = 0;
        watch(worker, number);
        say(number, "220 floor ESMTP\r\n");
    }
}

static void answer_synced(struct worker *worker, struct list *mine)
{
    uint64_t rung;
    if (read(worker->bell, &rung, sizeof rung) < 0)
        return;
    mine->count = 0;
    pthread_mutex_lock(&lock);
    move(&worker->synced, mine);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < mine->count; i++)
        say(mine->connections[i], "250 2.0.0 Ok: queued as 0000000000\r\n");
}

static void *serve(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[256];
    char *octets = malloc(1 << 18);
    struct list *mine = malloc(sizeof *mine);
    if (!octets || !mine)
        fail("memory");
    for (;;) {
        int count = epoll_wait(worker->poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int number = events[i].data.fd;
            if (number == worker->listener) {
                welcome(worker);
            } else if (number == worker->bell) {
                answer_synced(worker, mine);
            } else {
                ssize_t got = recv(number, octets, 1 << 18, 0);
                if (got < 0 && errno == EAGAIN)
                    continue;
                if (got <= 0 || hear(number, connections[number], octets, (size_t)got))
                    close(number);
            }
        }
    }
    return 0;
}

static int listen_on(const char *address, const char *port)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1
        || bind(listener, (void *)&at, sizeof at) || listen(listener, 4096))
        fail(address);
    return listener;
}

int main(int count, char **arguments)
{
    static char zeroes[1 << 20];
    pthread_t thread;
    if (count != 4)
        return 2;
    file = open(arguments[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0)
        fail(arguments[3]);
    for (long long at = 0; at < FILE_SIZE; at += sizeof zeroes)
        if (pwrite(file, zeroes, sizeof zeroes, at) < 0)
            fail("write");
    if (fdatasync(file))
        fail("fdatasync");
    pthread_create(&thread, 0, sync_file, 0);
    for (int number = 0; number < THREADS; number++) {
        struct worker *worker = &workers[number];
        worker->poll = epoll_create1(0);
        worker->bell = eventfd(0, EFD_NONBLOCK);
        worker->listener = listen_on(arguments[1], arguments[2]);
        watch(worker, worker->listener);
        watch(worker, worker->bell);
        pthread_create(&thread, 0, serve, worker);
    }
    pause();
    return 0;
}
