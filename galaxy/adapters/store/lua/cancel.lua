-- ARGV 1: member, 2: reason, 3: id of this call. Returns the state it was in, which is 'cancelled' when somebody
-- had cancelled it before; a repeated call is answered like the first. An error reply when it is too late.
local state, ended_by = unpack(redis.call('HMGET', VERSION, 'state', 'ended_by'))
if state == 'cancelled' then
  local call, was = string.match(ended_by or '', '^(%S+) (%S+)$')
  return call == ARGV[3] and was or state
end
local refused = move(VERSION, ARGV[1], 'cancelled', ARGV[2])
if refused then return refused end
redis.call('HSET', VERSION, 'failure', ARGV[2], 'ended_by', ARGV[3] .. ' ' .. state)
return state
