-- ARGV 1: member, 2: reason. Returns the state it was in; an error reply when it can't be cancelled any more.
local state = redis.call('HGET', VERSION, 'state')
local refused = move(VERSION, ARGV[1], 'cancelled', ARGV[2])
if refused then return refused end
redis.call('HSET', VERSION, 'failure', ARGV[2])
return state
