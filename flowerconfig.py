"""Flower's settings: what operators see. The login comes from FLOWER_BASIC_AUTH (`user:password`)."""

import sys

from tornado.options import options

_logins = [login.partition(":") for login in options.basic_auth or ()]
if not options.auth and not (_logins and all(user and password for user, _, password in _logins)):
    sys.exit("Flower needs a login: set FLOWER_BASIC_AUTH=user:password, several separated by commas.")

max_tasks = 10_000
tasks_columns = "name,uuid,state,kwargs,result,received,started,runtime,worker,retries"
natural_time = False
