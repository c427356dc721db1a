-- Makes a version the active one: only ever forward. ARGV 1: member, 2: prefix of version keys.
-- Returns {'active', previous number or 0} or {'superseded', active number}; a repeated call is answered alike.
local state, number, replaced = unpack(redis.call('HMGET', VERSION, 'state', 'number', 'replaced'))
number = tonumber(number)
local active = tonumber(redis.call('HGET', APP, 'active') or '0')
if active == number then return {'active', tonumber(replaced or '0')} end
if active > number then
  if state == 'superseded' then return {'superseded', active} end
  local reason = 'Version ' .. active .. ' was active before this one was built.'
  local refused = move(VERSION, ARGV[1], 'superseded', reason)
  if refused then return refused end
  redis.call('HSET', VERSION, 'failure', reason)
  return {'superseded', active}
end
if active > 0 and state == 'rolling_out' then redis.call('HSET', VERSION, 'replaced', active) end
local refused = move(VERSION, ARGV[1], 'active')
if refused then return refused end
redis.call('HSET', APP, 'active', number)
if active > 0 then
  refused = move(ARGV[2] .. active, redis.call('HGET', ARGV[2] .. active, 'app') .. ' ' .. active, 'retired')
  if refused then return refused end
end
return {'active', active}
