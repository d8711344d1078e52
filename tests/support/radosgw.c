/*
 * radosgw.c - Ceph brought up by hand: monitor, one OSD in memory, the S3 front.
 *
 * What a service manager and a manager daemon would do is left out, and what makes Ceph wait is
 * turned down: the monitor proposes at once, and whoever needs the OSD is started when the
 * OSD's own log says that it is active (a client that comes earlier sleeps five seconds). No
 * program in Python takes part: the map with one OSD is made before the monitor, not asked of it.
 */
#include "tests/support/radosgw.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "tests/support/s3ask.h"
#include "tests/support/servers.h"

enum { WAIT_MS = 60000, STARTS = 3, ARGS_MAX = 16 };

const struct radosgw_user radosgw_owner = { "owner", "AKOWNEROWNEROWNER001",
                                            "owner/secret+of/forty/characters/0000001" };
const struct radosgw_user radosgw_source = { "source", "AKSOURCESOURCESOUR01",
                                             "source/secret+of/forty/characters/000001" };
const struct radosgw_user radosgw_guard = { "guard", "AKGUARDGUARDGUARDG01",
                                            "guard/secret+of/forty/characters/0000001" };
const struct radosgw_user radosgw_drill = { "drill", "AKDRILLDRILLDRILLD01",
                                            "drill/secret+of/forty/characters/0000001" };

#define FSID "5f3a7c1e-0000-4000-8000-%012d" /* the port of the monitor */

static const char config_text[] =
    "[global]\n"
    "fsid = " FSID "\n"
    "mon_host = v2:127.0.0.1:%d/0\n"
    "mon_initial_members = a\n"
    "public_addr = 127.0.0.1\ncluster_addr = 127.0.0.1\n"
    "public_network = 127.0.0.0/8\ncluster_network = 127.0.0.0/8\n"
    "ms_bind_ipv6 = false\n"
    "auth_cluster_required = none\nauth_service_required = none\nauth_client_required = none\n"
    "run_dir = %s\nadmin_socket = \npid_file = \ncrash_dir = %s\nlog_file = %s/$name.log\n"
    "osd_pool_default_size = 1\nosd_pool_default_min_size = 1\n"
    "osd_pool_default_pg_num = 1\nosd_pool_default_pgp_num = 1\n"
    "osd_pool_default_pg_autoscale_mode = off\nrgw_rados_pool_pg_num_min = 1\n"
    "osd_crush_chooseleaf_type = 0\nmon_max_pg_per_osd = 2000\n"
    "mon_allow_pool_size_one = true\nmon_warn_on_pool_no_redundancy = false\n"
    /* A front that was killed is waited for by the next one's changes of buckets, but not long. */
    "osd_client_watch_timeout = 3\nobjecter_tick_interval = 0.5\n"
    "paxos_propose_interval = 0.01\npaxos_min_wait = 0.005\n"
    "[mon]\nmon_data = %s/mon\nmon_data_avail_crit = 1\nmon_data_avail_warn = 2\n"
    "[mon.a]\nmon_addr = v2:127.0.0.1:%d/0\n"
    "[osd]\nosd_objectstore = memstore\nosd_data = %s/osd\nosd_crush_initial_weight = 1\n"
    "debug_osd = 1\nosd_fast_shutdown = true\n"
    "osd_class_load_list = *\nosd_class_default_list = *\n"
    "memstore_device_bytes = 4294967296\n"
    /* The front's own default, a secure channel, and no authentication exclude each other. */
    "[client]\nms_mon_client_mode = crc\n"
    "[client.rgw]\nrgw_data = %s\nrgw_dns_name = s3.localhost\n"
    "rgw_frontends = beast endpoint=127.0.0.1:%d ssl_endpoint=127.0.0.1:%d"
    " ssl_certificate=%s/tls.pem\n"
    "rgw_enable_usage_log = false\nrgw_enable_gc_threads = false\n"
    "rgw_thread_pool_size = 64\nrgw_crypt_require_ssl = false\n";

/* -- processes ----------------------------------------------------------------------------- */

static char *log_path(const struct radosgw *r, const char *of)
{
    return dr_strf("%s/%s.log", r->dir, of);
}

/* line: words apart by blanks; our paths have none. The child dies with us. */
static pid_t spawn(const struct radosgw *r, const char *line)
{
    char words[1024], *argv[ARGS_MAX] = { NULL }, *rest = NULL;
    snprintf(words, sizeof(words), "%s", line);
    size_t count = 0;
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        DR_ASSERT(count < ARGS_MAX - 1);
        argv[count++] = w;
    }
    DR_FREE char *config = dr_strf("%s/ceph.conf", r->dir);
    DR_FREE char *log = log_path(r, "out");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* else a crashed test leaves it running */
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int in = open("/dev/null", O_RDONLY);
    if (getppid() != parent || out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(out, 2) < 0)
        _exit(126);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    setenv("CEPH_CONF", config, 1); /* NOLINT(concurrency-mt-unsafe): one thread after fork */
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

static void end(pid_t *pid)
{
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGKILL); /* gone already is as good */
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
    }
    *pid = 0;
}

/* Start a program and wait for it. */
static bool run(const struct radosgw *r, const char *line)
{
    int status = -1;
    pid_t pid = spawn(r, line);
    for (;;) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (clock_boot_ms() > r->deadline_ms || (done < 0 && errno != EINTR))
            break;
        poll(NULL, 0, 2);
    }
    end(&pid);
    return false;
}

/* Wait until this process made up() content, or ended. */
static bool wait_for(struct radosgw *r, pid_t *pid, bool (*up)(struct radosgw *r))
{
    while (clock_boot_ms() < r->deadline_ms) {
        if (up(r))
            return true;
        if (waitpid(*pid, NULL, WNOHANG) == *pid) {
            *pid = 0;
            return false;
        }
        poll(NULL, 0, 5);
    }
    return false;
}

/* The logs that say why; the last lines of each. */
static void tell(const struct radosgw *r)
{
    static const char *const of[] = { "out", "mon.a", "osd.0", "client.rgw" };
    for (size_t i = 0; i < DR_ARRAY_LEN(of); i++) {
        char text[4096];
        DR_FREE char *path = log_path(r, of[i]);
        FILE *fp = fopen(path, "re");
        if (fp == NULL)
            continue;
        if (fseek(fp, -(long)sizeof(text) + 1, SEEK_END) != 0)
            rewind(fp);
        text[fread(text, 1, sizeof(text) - 1, fp)] = '\0';
        fprintf(stderr, "== the end of %s:\n%s\n", path, text);
        (void)fclose(fp);
    }
}

/* -- requests ------------------------------------------------------------------------------ */

int radosgw_request(const struct radosgw *r, const struct radosgw_user *user, const char *what,
                    const char *header, const char *body, struct buf *reply)
{
    const struct s3ask ask = { .endpoint = r->http,
                               .access_key = user->access_key,
                               .secret_key = user->secret_key,
                               .header = header,
                               .body = body };
    return s3ask(&ask, what, reply);
}

static bool ask(const struct radosgw *r, const char *what, const char *header, const char *body)
{
    DR_CLEANUP(buf_fini) struct buf reply = { 0 };
    int status = radosgw_request(r, &radosgw_owner, what, header, body, &reply);
    if (status / 100 != 2)
        fprintf(stderr, "%s: %d %s\n", what, status, reply.len > 0 ? reply.data : "");
    return status / 100 == 2;
}

static bool make_user(const struct radosgw *r, const struct radosgw_user *u)
{
    char *secret = curl_easy_escape(NULL, u->secret_key, 0);
    DR_FREE char *what = dr_strf("PUT /admin/user?access-key=%s&display-name=%s&format=json"
                                 "&key-type=s3&secret-key=%s&uid=%s",
                                 u->access_key, u->name, secret, u->name);
    curl_free(secret);
    return radosgw_request(r, &radosgw_owner, what, NULL, NULL, NULL) == 200;
}

/* @ is the bucket. */
static const char policy_text[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":["
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/source\"]},\"Action\":["
    "\"s3:ListBucket\",\"s3:ListBucketVersions\",\"s3:GetBucketVersioning\","
    "\"s3:GetBucketObjectLockConfiguration\",\"s3:GetBucketLocation\"],"
    "\"Resource\":[\"arn:aws:s3:::@\"]},"
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/source\"]},\"Action\":["
    "\"s3:GetObject\",\"s3:GetObjectVersion\",\"s3:PutObject\",\"s3:GetObjectRetention\"],"
    "\"Resource\":[\"arn:aws:s3:::@/*\"]},"
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/source\"]},"
    "\"Action\":[\"s3:DeleteObject\"],"
    "\"Resource\":[\"arn:aws:s3:::@/pending/*\",\"arn:aws:s3:::@/*/pending/*\"]},"
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/drill\"]},\"Action\":["
    "\"s3:ListBucket\",\"s3:ListBucketVersions\",\"s3:GetBucketVersioning\","
    "\"s3:GetBucketObjectLockConfiguration\",\"s3:GetBucketLocation\"],"
    "\"Resource\":[\"arn:aws:s3:::@\"]},"
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/drill\"]},\"Action\":["
    "\"s3:GetObject\",\"s3:GetObjectVersion\",\"s3:GetObjectRetention\"],"
    "\"Resource\":[\"arn:aws:s3:::@/*\"]},"
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam:::user/guard\"]},"
    "\"Action\":[\"s3:*\"],"
    "\"Resource\":[\"arn:aws:s3:::@\",\"arn:aws:s3:::@/*\"]}]}";

bool radosgw_make_bucket(const struct radosgw *r, const char *bucket, enum radosgw_bucket kind)
{
    static const char locked[] = "x-amz-bucket-object-lock-enabled: true";
    DR_FREE char *make = dr_strf("PUT /%s", bucket);
    DR_FREE char *versions = dr_strf("PUT /%s?versioning=", bucket);
    DR_FREE char *put = dr_strf("PUT /%s?policy=", bucket);
    DR_CLEANUP(buf_fini) struct buf policy = { 0 };
    for (const char *c = policy_text; *c != '\0'; c++)
        buf_add(&policy, *c == '@' ? bucket : c, *c == '@' ? strlen(bucket) : 1);
    return ask(r, make, kind == RADOSGW_LOCKED ? locked : NULL, NULL) &&
           (kind != RADOSGW_VERSIONED ||
            ask(r, versions, NULL,
                "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                "<Status>Enabled</Status></VersioningConfiguration>")) &&
           ask(r, put, NULL, policy.data);
}

/* -- start and stop ------------------------------------------------------------------------ */

static bool write_text(const char *dir, const char *name, const char *text)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    FILE *fp = fopen(path, "we");
    if (fp == NULL)
        return false;
    bool good = fputs(text, fp) >= 0;
    return fclose(fp) == 0 && good;
}

static bool make_certificate(struct radosgw *r)
{
    snprintf(r->ca, sizeof(r->ca), "%s/ca.pem", r->dir);
    DR_FREE char *line =
        dr_strf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
                " -config %s/tls.conf -keyout %s/key.pem -out %s",
                r->dir, r->dir, r->ca);
    DR_FREE char *join = dr_strf("cat '%s' '%s/key.pem' >'%s/tls.pem'", r->ca, r->dir, r->dir);
    return write_text(r->dir, "tls.conf",
                      "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = more\n"
                      "[name]\nCN = drctl test\n[more]\nbasicConstraints = critical, CA:TRUE\n"
                      "subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:s3.localhost,"
                      " DNS:*.s3.localhost\n") &&
           run(r, line) && system(join) == 0; /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static bool configure(struct radosgw *r)
{
    r->mon_port = server_free_port();
    r->port = server_free_port();
    r->tls_port = server_free_port();
    snprintf(r->http, sizeof(r->http), "http://127.0.0.1:%d", r->port);
    snprintf(r->https, sizeof(r->https), "https://127.0.0.1:%d", r->tls_port);
    snprintf(r->virtual_http, sizeof(r->virtual_http), "http://s3.localhost:%d", r->port);
    snprintf(r->virtual_https, sizeof(r->virtual_https), "https://s3.localhost:%d", r->tls_port);
    DR_FREE char *text = dr_strf(config_text, r->mon_port, r->mon_port, r->dir, r->dir, r->dir,
                                 r->dir, r->mon_port, r->dir, r->dir, r->port, r->tls_port, r->dir);
    return write_text(r->dir, "ceph.conf", text);
}

static bool osd_is_active(struct radosgw *r)
{
    DR_FREE char *path = log_path(r, "osd.0");
    char line[512];
    bool found = false;
    FILE *fp = fopen(path, "re");
    while (fp != NULL && !found && fgets(line, sizeof(line), fp) != NULL)
        found = strstr(line, "booting -> active") != NULL;
    if (fp != NULL)
        (void)fclose(fp);
    return found;
}

static bool front_answers(struct radosgw *r)
{
    return radosgw_request(r, &radosgw_owner, "GET /", NULL, NULL, NULL) == 200;
}

bool radosgw_again(struct radosgw *r)
{
    r->deadline_ms = clock_boot_ms() + WAIT_MS;
    r->rgw = spawn(r, "radosgw -f -n client.rgw");
    return wait_for(r, &r->rgw, front_answers);
}

static bool make_dirs(const struct radosgw *r)
{
    static const char *const dirs[] = { "", "/mon", "/osd" };
    for (size_t i = 0; i < DR_ARRAY_LEN(dirs); i++) {
        DR_FREE char *path = dr_strf("%s%s", r->dir, dirs[i]);
        if (mkdir(path, 0700) != 0)
            return false;
    }
    return true;
}

static bool start_once(struct radosgw *r)
{
    if (!make_dirs(r) || !configure(r) || !make_certificate(r))
        return false;
    DR_FREE char *monmap =
        dr_strf("monmaptool --create --fsid " FSID " --addv a [v2:127.0.0.1:%d] %s/monmap",
                r->mon_port, r->mon_port, r->dir);
    DR_FREE char *map = dr_strf("osdmaptool --createsimple 1 %s/osdmap", r->dir);
    DR_FREE char *mon =
        dr_strf("ceph-mon --mkfs -i a --monmap %s/monmap --osdmap %s/osdmap", r->dir, r->dir);
    DR_FREE char *owner = dr_strf("radosgw-admin --no-mon-config user create --uid=%s"
                                  " --display-name=%s --access-key=%s --secret=%s --caps=users=*",
                                  radosgw_owner.name, radosgw_owner.name, radosgw_owner.access_key,
                                  radosgw_owner.secret_key);
    if (!run(r, monmap) || !run(r, map) || !run(r, mon))
        return false;
    r->mon = spawn(r, "ceph-mon -f -i a");
    if (!run(r, "ceph-osd -i 0 --mkfs --no-mon-config"
                " --osd-uuid 5f3a7c1e-0000-4000-8000-00000000000a"))
        return false;
    r->osd = spawn(r, "ceph-osd -f -i 0");
    return wait_for(r, &r->osd, osd_is_active) && run(r, owner) && radosgw_again(r) &&
           make_user(r, &radosgw_source) && make_user(r, &radosgw_guard) &&
           make_user(r, &radosgw_drill);
}

bool radosgw_start(struct radosgw *r, const char *parent, const char *name)
{
    int64_t end_ms = clock_boot_ms() + WAIT_MS;
    for (int i = 0; i < STARTS && clock_boot_ms() < end_ms;
         i++) { /* another process may have taken one of the ports */
        *r = (struct radosgw){ .deadline_ms = end_ms };
        int n = snprintf(r->dir, sizeof(r->dir), i == 0 ? "%s/%s" : "%s/%s-%d", parent, name, i);
        DR_ASSERT(n > 0 && (size_t)n < sizeof(r->dir));
        if (start_once(r))
            return true;
        radosgw_stop(r);
    }
    tell(r);
    return false;
}

void radosgw_kill(struct radosgw *r)
{
    end(&r->rgw);
}

void radosgw_stop(struct radosgw *r)
{
    end(&r->rgw);
    end(&r->osd);
    end(&r->mon);
}
