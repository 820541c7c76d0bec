package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
)

// Where Debian and others put nginx and the module. Variables for the tests.
var (
	nginxPaths = []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"}
	nchanPaths = []string{
		"/usr/lib/nginx/modules/ngx_nchan_module.so",
		"/usr/share/nginx/modules/ngx_nchan_module.so",
		"/usr/lib64/nginx/modules/ngx_nchan_module.so",
	}
)

// nchanPromises is what Nchan promises less than the relay.
const nchanPromises = "messages in memory only: no fsync, and none after a restart; the newest of a channel, not all; no dedupe; no tokens of its own; events are not checked"

// findNchan returns the program and the module, or says what to install.
func findNchan() (nginx, module, missing string) {
	for _, p := range nginxPaths {
		if path, err := exec.LookPath(p); err == nil {
			nginx = path
			break
		}
	}
	for _, p := range nchanPaths {
		if _, err := os.Stat(p); err == nil {
			module = p
			break
		}
	}
	const how = " is not installed: Debian's packages nginx and libnginx-mod-nchan bring it (make peers installs them)"
	switch {
	case nginx == "":
		return "", "", "nginx" + how
	case module == "":
		return "", "", "nginx's module nchan" + how
	}
	return nginx, module, ""
}

// nchanConf is the configuration of nginx. Relative paths are in the folder
// that it is started with.
//
// Streams begin at the oldest message. So a stream that opens on a new channel
// misses none, however late a worker hears of it. A page is the answer to one
// long poll: all messages after the named one, each with a comma and a line end
// behind it. The ping is as frequent as the relay's comments, every 12 s.
const nchanConf = `load_module %q;
%s
pid nginx.pid;
worker_processes %d;
worker_rlimit_nofile %d;
events {
	worker_connections %d;
	multi_accept on;
}
http {
	access_log off;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	tcp_nodelay on;
	client_body_buffer_size 512k;
	client_max_body_size 2m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	nchan_shared_memory_size 2G;
	nchan_message_timeout 0;
	nchan_message_buffer_length %d;
	server {
		listen %s reuseport backlog=4096;
		location = /readyz {
			return 200 "ok\n";
		}
		location ~ ^/pub/(\w+)$ {
			nchan_publisher;
			nchan_channel_id $1;
		}
		location ~ ^/sub/(\w+)$ {
			nchan_subscriber eventsource;
			nchan_subscriber_first_message oldest;
			nchan_eventsource_ping_interval 12;
			nchan_eventsource_ping_event "";
			nchan_eventsource_ping_comment "";
			nchan_channel_id $1;
		}
		location ~ ^/page/(\w+)$ {
			nchan_subscriber longpoll;
			nchan_subscriber_first_message oldest;
			nchan_longpoll_multipart_response raw;
			nchan_subscriber_http_raw_stream_separator ",";
			nchan_channel_id $1;
		}
	}
}
`

// A nchanSize is what a load needs of Nchan.
type nchanSize struct {
	workers  int
	messages int // how many of its newest messages a channel keeps
	conns    int // how many connections; one worker may get all of them
}

// startNchan starts nginx with an empty store in memory.
func startNchan(ctx context.Context, dir string, size nchanSize) (*load.Server, error) {
	nginx, module, missing := findNchan()
	if missing != "" {
		return nil, errors.New(missing)
	}
	dir = filepath.Join(dir, "nchan")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	bind, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	conns := size.conns + proc.SpareFiles*8 // workers also talk to each other
	user := ""                              // only root can give its rights away
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nchanConf, module, user, size.workers, conns+proc.SpareFiles, conns, size.messages, bind)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := proc.Start(dir, "nginx", []string{nginx, "-p", dir, "-c", conf, "-e", "stderr", "-g", "daemon off;"})
	if err != nil {
		return nil, err
	}
	s := &load.Server{Name: "nchan", Addr: bind, PID: p.PID(), Proc: p, Dialect: nchanDialect{}}
	if err := s.AwaitReady(ctx, bind, "/readyz"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
