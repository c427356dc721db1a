-- ARGV 1: member, 2: due in (ms). A repeated call is answered like the first. Returns the state it is in now.
local state = redis.call('HGET', VERSION, 'state')
if state == 'built' then
  local refused = move(VERSION, ARGV[1], 'rolling_out')
  if refused then return refused end
  redis.call('ZADD', DUE, ms(now_ms() + ARGV[2]), ARGV[1])
  return 'rolling_out'
end
return state or 'missing'
