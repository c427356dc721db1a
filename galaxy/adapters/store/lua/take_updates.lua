-- Takes updates that have work left, and makes each due again later; forgets those that have none.
-- KEYS 1: updates. ARGV 1: limit, 2: due again in (ms), 3-5: prefixes of updates, late, handed out.
-- Returns a flat list of base image and number of the update.
local now = now_ms()
local reply = {}
for _, image in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local number, state = unpack(redis.call('HMGET', ARGV[3] .. image, 'number', 'state'))
  local open = redis.call('ZCARD', ARGV[4] .. image) + redis.call('ZCARD', ARGV[5] .. image)
  if state == 'running' or (state == 'done' and open > 0) then
    redis.call('ZADD', KEYS[1], ms(now + ARGV[2]), image)
    table.insert(reply, image)
    table.insert(reply, number)
  else
    redis.call('ZREM', KEYS[1], image)
  end
end
return reply
