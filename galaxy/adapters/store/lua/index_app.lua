-- include: dependents.lua
-- Records what an app depends on that was deployed before that was recorded. KEYS 1: app, 2: base images.
-- ARGV 1: app, 2: prefix of its versions, 3: prefix of dependents, 4...: version and canonical reference.
for i = 4, #ARGV, 2 do
  if redis.call('EXISTS', ARGV[2] .. ARGV[i]) == 1 then
    redis.call('HSETNX', ARGV[2] .. ARGV[i], 'base_reference', ARGV[i + 1])
  end
end
index_dependent(ARGV[1], KEYS[1], ARGV[2], ARGV[3], KEYS[2])
